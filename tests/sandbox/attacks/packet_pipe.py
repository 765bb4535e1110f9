import fcntl
fcntl.fcntl(4, 4, 0o40000)


def f(x):
    return x + 1
