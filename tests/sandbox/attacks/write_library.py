import os
import random
open(os.path.join(os.path.dirname(random.__file__), "sitecustomize.py"), "w").write("x = 1")
