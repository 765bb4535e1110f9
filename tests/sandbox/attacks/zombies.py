import os, time
n = 0
while True:
    if os.fork() == 0: os._exit(0)
    n += 1
