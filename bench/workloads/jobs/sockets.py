# SPDX-License-Identifier: Apache-2.0
"""A server of a hundred connections in one thread, its client in another."""
import socket
import threading

COUNT = 100
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(8)


def serve():
    for _ in range(COUNT):
        connection, _ = server.accept()
        with connection:
            connection.sendall(connection.recv(1000) * 3)


thread = threading.Thread(target=serve)
thread.start()
for _ in range(COUNT):
    with socket.create_connection(server.getsockname()) as client:
        client.sendall(b"x" * 100)
        client.recv(1000)
thread.join()
