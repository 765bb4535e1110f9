import os
fd = os.open('s', os.O_CREAT | os.O_RDWR)
os.posix_fallocate(fd, 0, 10 << 30)


def f(x):
    return x + 1
