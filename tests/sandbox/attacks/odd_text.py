print("\0 \U0001f600 \x7f")
import os
os.write(1, b"\xff\xfe\x80 no text")


def f(x):
    return x + 1
