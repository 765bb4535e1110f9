def f(x):
    x = [x]
    x.append(x)
    return x
