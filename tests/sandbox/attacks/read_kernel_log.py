import ctypes
import os
libc = ctypes.CDLL(None, use_errno=True)
if libc.klogctl(3, ctypes.create_string_buffer(100), 100) < 0:
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def f(x):
    return x + 1
