import os
os.dup2(1, 4)


def f(x):
    return x + 1
