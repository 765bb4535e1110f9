def f(x):
    raise AssertionError("PASS")
