n = 0
while True:
    n += 1
    with open(f"full{n}", "wb", buffering=0) as file:
        for _ in range(16):
            file.write(bytes(1 << 20))
