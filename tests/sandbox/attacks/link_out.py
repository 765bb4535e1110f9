import os
os.symlink('/etc/passwd', 'l')
open('l').read()


def f(x):
    return x + 1
