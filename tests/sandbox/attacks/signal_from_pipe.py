import fcntl, os
fcntl.fcntl(3, 8, 1)
fcntl.fcntl(3, 10, 9)


def f(x):
    return x + 1
