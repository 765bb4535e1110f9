import os
import time
for _ in range(30):
    if os.fork() == 0:
        block = bytearray(os.urandom(1)) * 100_000_000
        time.sleep(60)
        os._exit(0)
time.sleep(60)
