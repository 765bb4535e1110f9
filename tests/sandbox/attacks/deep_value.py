def f(x):
    for _ in range(100_000):
        x = [x]
    return x
