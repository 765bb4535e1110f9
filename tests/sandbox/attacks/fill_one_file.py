with open("full", "wb", buffering=0) as file:
    while True:
        file.write(bytes(1 << 20))
