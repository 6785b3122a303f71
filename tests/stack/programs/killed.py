"""A program that is killed closes its connections; a listener's end refuses the next."""

import os
import signal
import socket
import time

reader, writer = os.pipe()
pid = os.fork()
if pid == 0:
    listener = socket.create_server(("127.0.0.1", 0))
    os.write(writer, b"%d\n" % listener.getsockname()[1])
    connection, _ = listener.accept()
    connection.sendall(b"hello")
    time.sleep(60)
    os._exit(1)
port = int(os.read(reader, 10))
client = socket.create_connection(("127.0.0.1", port), timeout=10)
assert client.recv(5) == b"hello"
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
assert client.recv(1) == b""
client.close()
for _ in range(100):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except ConnectionRefusedError:
        break
    time.sleep(0.01)
else:
    raise AssertionError("the dead listener still accepts")
