import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)


def must(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), 'refused')



must(libc.syscall(155, b"/tmp", b"/tmp"))
