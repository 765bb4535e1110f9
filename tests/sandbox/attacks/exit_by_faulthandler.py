import faulthandler
faulthandler.dump_traceback_later(0.1, exit=True)
import time
time.sleep(50)
