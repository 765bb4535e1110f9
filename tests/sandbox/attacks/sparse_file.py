with open('s', 'wb') as s:
    s.seek(10 << 30)
    s.write(b'x')


def f(x):
    return x + 1
