open("/dev/shm/written", "w").write("x")
