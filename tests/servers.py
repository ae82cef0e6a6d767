"""A web server whose files break off, stall, vanish or change as a test wants it.

And a relay that makes any other server slow.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Web:
    """What the server has and how it behaves; ``asked`` lists paths with their ranges."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    #: What it has instead for programs that say that they are R.
    for_r: dict[str, bytes] = field(default_factory=dict)
    #: How many bytes of the body each of the next answers sends before it breaks off.
    breaks: list[int] = field(default_factory=list)
    status: int = 200
    #: The header ``Authorization`` that an answer asks for.
    login: str = ""
    ranges: bool = True
    #: Whether it tells about a file without sending it, as uv asks.
    heads: bool = False
    #: Seconds until it answers.
    wait: float = 0
    asked: list[tuple[str, str]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    web: Web

    def do_HEAD(self) -> None:
        if self.web.heads:
            self.do_GET()
        else:
            self.send_error(501)

    def do_GET(self) -> None:
        web, span = self.web, self.headers.get("Range", "")
        web.asked.append((self.path, span))
        time.sleep(web.wait)
        is_r = self.headers.get("User-Agent", "").startswith("R/")
        body = (is_r and web.for_r.get(self.path)) or web.files.get(self.path)
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
        if self.path.endswith("/"):
            kind = "application/vnd.pypi.simple.v1+json" if body[:1] == b"{" else "text/html"
            self.send_header("Content-Type", kind)
        self.end_headers()
        if self.command == "HEAD":
            return
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


@dataclass
class Relay:
    """What stands between a client and a server; ``host`` is its name and port.

    ``rate`` are the bytes in a second that an answer may have; after ``most`` bytes to one
    connection, or ``total`` to all, it is ``silent``, or else breaks off. ``sent`` counts them.
    """

    host: str = ""
    rate: float = float("inf")
    most: float = float("inf")
    total: float = float("inf")
    silent: bool = True
    sent: int = 0


def _pass_on(relay: Relay, client: socket.socket, server: socket.socket) -> None:
    passed = 0

    def left() -> float:
        return min(relay.most - passed, relay.total - relay.sent)

    while left() > 0 and (data := server.recv(4096)):
        data = data[: int(min(len(data), left()))]
        passed += len(data)
        relay.sent += len(data)
        client.sendall(data)
        time.sleep(len(data) / relay.rate)
    while relay.silent and left() <= 0:
        time.sleep(0.05)


def _serve_one(relay: Relay, client: socket.socket, target: tuple[str, int]) -> None:
    with client, socket.create_connection(target) as server:

        def forward() -> None:
            with suppress(OSError):
                while data := client.recv(4096):
                    server.sendall(data)

        threading.Thread(target=forward, daemon=True).start()
        with suppress(OSError):
            _pass_on(relay, client, server)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


@contextmanager
def slow_down(host: str) -> Iterator[Relay]:
    """Stand before the server at ``host``, a name and port, with one that can be slow."""
    name, _, port = host.rpartition(":")
    relay = Relay()
    listener = socket.create_server(("127.0.0.1", 0))
    relay.host = f"127.0.0.1:{listener.getsockname()[1]}"

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                arguments = (relay, client, (name, int(port)))
                threading.Thread(target=_serve_one, args=arguments, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield relay
    finally:
        relay.silent = False
        listener.close()
