class D:
    def __del__(self):
        while True: pass
d = D()


def f(x):
    return x + 1
