import socket
socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).bind("\0preimage")
