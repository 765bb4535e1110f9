open('/dev/kmsg', 'w').write('x')


def f(x):
    return x + 1
