import threading


def forever():
    while True:
        pass


threading.Thread(target=forever).start()


def f(x):
    return x + 1
