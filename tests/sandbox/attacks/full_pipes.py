import os
ps = []
try:
    while True: ps.append(os.pipe())
except OSError: pass
for r, w in ps:
    os.set_blocking(w, False)
    try:
        while True: os.write(w, bytes(65536))
    except OSError: pass


def f(x):
    return x + 1
