import ctypes
import os
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(240, b"/q", 0o102, 0o666, None) < 0:
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def f(x):
    return x + 1
