import sys
line = "x" * 65536
for _ in range(160_000):
    sys.stdout.write(line)
