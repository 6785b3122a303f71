"""The standard library's web server and client, the client's modules imported before anything is replaced."""

import functools
import http.server
import os
import tempfile
import threading
import urllib.request


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


with tempfile.TemporaryDirectory() as directory:
    data = os.urandom(5 << 20)
    with open(os.path.join(directory, "file"), "wb") as file:
        file.write(data)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=directory)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/file", timeout=20) as answer:
            assert answer.read() == data
        server.shutdown()
        thread.join()
