import os
import time


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


for _ in range(90):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        if os.fork() == 0:  # its parent ends at once
            burn(0.018)
            os._exit(0)
        os._exit(0)
    os.close(writer)
    os.read(reader, 1)  # until both are gone
    os.close(reader)
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def f(x):
    return x + 1
