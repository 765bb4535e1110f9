import fcntl, os
fcntl.flock(os.open('/usr/bin/true', os.O_RDONLY), fcntl.LOCK_EX)


def f(x):
    return x + 1
