import ctypes
ctypes.pythonapi.sleep = 1
ctypes.PyDLL(None).sleep(100)
