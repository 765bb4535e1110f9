class E(Exception):
    @property
    def __traceback__(self): raise SystemExit
def f(x): raise E
