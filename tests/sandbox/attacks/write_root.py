open("/written", "w").write("x")
