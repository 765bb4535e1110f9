def f(x):
    a = []
    t = (a,)
    a.append(t)
    return t
