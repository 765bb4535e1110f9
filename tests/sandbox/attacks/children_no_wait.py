import ctypes
import os
import struct
import time

SIGCHLD, SA_NOCLDWAIT = 17, 2
action = struct.pack("Q128siiQ", 0, bytes(128), SA_NOCLDWAIT, 0, 0)
ctypes.CDLL(None).sigaction(SIGCHLD, action, None)


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


for _ in range(90):
    child = os.fork()
    if child == 0:
        burn(0.018)
        os._exit(0)
    try:
        os.waitpid(child, 0)
    except ChildProcessError:
        pass


def f(x):
    return x + 1
