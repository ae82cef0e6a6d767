"""A web server whose files break off, stall, vanish or change as a test wants it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Web:
    """What the server has and how it behaves; ``asked`` lists paths with their ranges."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    #: How many bytes of the body each of the next answers sends before it breaks off.
    breaks: list[int] = field(default_factory=list)
    status: int = 200
    #: The header ``Authorization`` that an answer asks for.
    login: str = ""
    ranges: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    web: Web

    def do_GET(self) -> None:
        web, span = self.web, self.headers.get("Range", "")
        web.asked.append((self.path, span))
        body = web.files.get(self.path)
        if web.login and self.headers.get("Authorization") != web.login:
            self.send_error(401)
            return
        if body is None or web.status != 200:
            self.send_error(404 if body is None else web.status)
            return
        start = int(span[len("bytes=") : -1]) if span and web.ranges else 0
        if start >= len(body) > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = start + web.breaks.pop(0) if web.breaks else len(body)
        self.wfile.write(body[start:end])

    def log_message(self, *arguments: object) -> None:
        """Say nothing: a test that fails shows ``asked``."""


@contextmanager
def serve() -> Iterator[Web]:
    """Run a server on a free port of this machine."""
    web = Web()
    handler = type("Handler", (_Handler,), {"web": web})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    web.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
