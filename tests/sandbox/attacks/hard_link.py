import os
os.link('/usr/bin/true', 'l')


def f(x):
    return x + 1
