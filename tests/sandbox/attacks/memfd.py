import ctypes
import os
libc = ctypes.CDLL(None, use_errno=True)
if libc.memfd_create(b"m", 0) < 0:
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def f(x):
    return x + 1
