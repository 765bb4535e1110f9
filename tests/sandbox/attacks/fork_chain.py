import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork() == 0:
    while True:
        t = time.process_time() + 0.03
        while time.process_time() < t: pass
        if os.fork(): os._exit(0)
time.sleep(1000)
