import os
import threading
import time
written = 0


def flood():
    global written
    while True:
        written += os.write(1, b"x" * 1000)


threading.Thread(target=flood, daemon=True).start()
while written < 3 << 20:
    time.sleep(0.01)


def f(x):
    return x + 1
