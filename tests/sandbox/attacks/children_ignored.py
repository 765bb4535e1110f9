import os
import signal
import time

signal.signal(signal.SIGCHLD, signal.SIG_IGN)


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
