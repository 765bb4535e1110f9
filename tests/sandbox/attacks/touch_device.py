import os
os.utime('/dev/null')


def f(x):
    return x + 1
