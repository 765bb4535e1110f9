import os
for path in ("/root", "/home", "/var/spool", "/etc", "/mnt", "/opt"):
    try:
        print(os.listdir(path))
    except OSError:
        continue
    raise SystemExit("it can")
raise OSError("none of them")
