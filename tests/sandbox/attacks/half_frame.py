import os
os.write(4, b'\0\0')
import time
time.sleep(100)
