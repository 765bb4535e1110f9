import os
line = b"x" * 65536
while True:
    os.write(2, line)
