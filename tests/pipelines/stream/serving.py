"""An HTTP server of this machine for tests of live sources."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server:
    """Gives whoever asks for anything below `address` to `answer`, in a thread of its own. What holds a connection
    waits for `released`, which `close` sets."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.released = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End it, and the connections that it holds."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


def send(request: BaseHTTPRequestHandler, data: bytes, **headers: object) -> None:
    """Answer a request with some bytes."""
    request.send_response(200)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), str(value))
    request.end_headers()
    request.wfile.write(data)
    request.wfile.flush()
