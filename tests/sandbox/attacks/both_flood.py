import os
import threading


def flood(fd):
    while True:
        os.write(fd, b"x" * 65536)


threading.Thread(target=flood, args=(1,)).start()
flood(2)
