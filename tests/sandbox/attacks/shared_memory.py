import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)


def must(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), 'refused')



must(libc.shmget(0x5eed, 4096, 0o1666))
