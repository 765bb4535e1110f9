import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)


def must(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), 'refused')



must(libc.syscall(425, 8, ctypes.create_string_buffer(256)))
