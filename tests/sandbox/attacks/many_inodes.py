for n in range(2_000_000):
    open(f"empty{n}", "w").close()
