seen = set()


def f(x):
    if x in seen:
        return None
    seen.add(x)
    return x + 1
