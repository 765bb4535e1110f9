def f(x): return pow(10**8, 10**8)
