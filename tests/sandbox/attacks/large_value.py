def f(x):
    return "x" * 100_000_000
