import mmap
ms = []
while True: ms.append(mmap.mmap(-1, 1 << 30))
