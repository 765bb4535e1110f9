import os
for group in range(1, 70_000):
    try:
        os.killpg(group, 9)
    except OSError:
        pass
raise RuntimeError("still here")
