class Own(Exception):
    def __str__(self):
        raise SystemExit

    __repr__ = __str__


def f(x):
    raise Own
