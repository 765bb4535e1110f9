blocks = []
try:
    while True:
        blocks.append(bytearray(10_000_000))
except MemoryError:
    pass


def f(x):
    return 0
