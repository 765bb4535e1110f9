import threading, os
def flood():
    while True: os.write(1, b'x' * 100)
threading.Thread(target=flood, daemon=True).start()
import time
time.sleep(0.3)


def f(x):
    return x + 1
