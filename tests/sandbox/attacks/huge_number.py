def f(x):
    return 1 << 10_000_000
