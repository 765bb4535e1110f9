import os
for path in ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dri/card0"):
    try:
        os.open(path, os.O_RDWR)
        raise SystemExit("it can")
    except OSError:
        pass
import torch.cuda
