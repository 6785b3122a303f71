"""A ForkingTCPServer: one process per connection, each with the connection's descriptor."""

import os
import socket
import socketserver
import threading


class Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"%d " % os.getpid())
        for line in self.rfile:
            self.wfile.write(line)


class Server(socketserver.ForkingTCPServer):
    allow_reuse_address = True


with Server(("127.0.0.1", 0), Echo) as server:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    pids = set()
    for number in range(3):
        with socket.create_connection(server.server_address, timeout=10) as client:
            client.sendall(b"line %d\n" % number)
            client.shutdown(socket.SHUT_WR)
            pid, _, rest = b"".join(iter(lambda client=client: client.recv(100), b"")).partition(b" ")
            assert rest == b"line %d\n" % number, rest
            pids.add(int(pid))
    server.shutdown()
    thread.join()
assert len(pids) == 3, pids
assert os.getpid() not in pids
