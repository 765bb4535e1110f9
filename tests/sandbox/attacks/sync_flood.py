import os
for _ in range(10**5): os.sync()


def f(x):
    return x + 1
