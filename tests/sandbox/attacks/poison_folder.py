for name in ("random.py", "sitecustomize.py", "x.pth", "json.py"):
    open(name, "w").write("raise SystemExit")
import os
os.mkdir("__pycache__")


def f(x):
    import json
    import random
    return x + 1
