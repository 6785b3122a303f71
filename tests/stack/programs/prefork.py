"""Four processes accept from one listener that their parent made."""

import os
import socket
import time

with socket.create_server(("127.0.0.1", 0), backlog=32) as listener:
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            while True:
                connection, _ = listener.accept()
                with connection:
                    asked = connection.recv(1)
                    if asked == b"q":
                        os._exit(0)
                    time.sleep(0.02)
                    connection.sendall(b"%d" % os.getpid())
        children.append(pid)
    clients = [socket.create_connection(listener.getsockname(), timeout=10) for _ in range(16)]
    for client in clients:
        client.sendall(b"?")
    served = {int(client.recv(20)) for client in clients}
    assert len(served) > 1, served
    assert served <= set(children)
    for client in clients:
        client.close()
    for _ in children:
        with socket.create_connection(listener.getsockname(), timeout=10) as client:
            client.sendall(b"q")
            assert client.recv(1) == b""
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
