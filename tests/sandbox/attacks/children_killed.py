import os
import signal
import time

signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


for _ in range(60):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        burn(0.03)
        os.write(writer, b"x")
        while True:
            pass
    os.read(reader, 1)
    os.kill(child, signal.SIGKILL)
    os.close(reader)
    os.close(writer)
    try:
        os.waitpid(child, 0)
    except ChildProcessError:
        pass


def f(x):
    return x + 1
