import time
a = []
while True:
    a.append(bytearray(10 << 20))
    time.sleep(0.01)
