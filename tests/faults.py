"""A registry that fails as a test wants it: what stands before a real one, and changes answers."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Fault:
    """What happens to requests whose line (``PATCH /v2/...``) a pattern matches, ``times`` often.

    Instead of passing them on it answers with ``status``, ``headers`` and ``body``; or passes on so
    many bytes of an answer and ``cuts`` it; or ``lies`` about one byte of it; or does something.
    """

    pattern: str
    status: int = 0
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cuts: int | None = None
    lies: bool = False
    does: Callable[[], None] | None = None
    times: float = float("inf")
    after: int = 0


@dataclass
class Front:
    """The server: its ``host``, the ``faults`` it has, and the lines it was ``asked``.

    ``sent`` counts the bytes of bodies that went to the registry, ``given`` those that came.
    """

    host: str = ""
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    sent: int = 0
    given: int = 0

    def clear(self) -> None:
        """Be as a registry is, and forget what was asked."""
        self.faults, self.asked, self.sent, self.given = [], [], 0, 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    front: Front
    target: str

    def handle(self) -> None:
        with suppress(OSError):  # who has asked was killed
            super().handle()

    def _pass(self) -> None:
        front = self.front
        line = f"{self.command} {self.path}"
        front.asked.append(line)
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = next((f for f in front.faults if f.times > 0 and re.search(f.pattern, line)), None)
        if fault is not None and fault.after > 0:
            fault.after -= 1
            fault = None
        if fault is not None:
            fault.times -= 1
            if fault.does is not None:
                fault.does()
            if fault.status:
                self._answer(fault.status, fault.headers, fault.body)
                return
        front.sent += len(data)
        upstream = http.client.HTTPConnection(self.target)
        kept = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
        upstream.request(self.command, self.path, data or None, kept)  # with our name as the host
        answer = upstream.getresponse()
        body = answer.read()
        upstream.close()
        cut = None
        if fault is not None and fault.lies and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        elif fault is not None:
            cut = fault.cuts
        self._answer(answer.status, dict(answer.getheaders()), body, cut)

    def _answer(
        self, status: int, headers: dict[str, str], body: bytes, cut: int | None = None
    ) -> None:
        self.send_response(status)
        length = headers.get("Content-Length", str(len(body)))
        for name, value in headers.items():
            if name not in ("Content-Length", "Transfer-Encoding", "Connection", "Date"):
                self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        self.front.given += len(body)
        with suppress(OSError):
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = _pass

    def log_message(self, *arguments: object) -> None:
        """Say nothing: a test that fails shows ``asked``."""


@contextmanager
def stand_before(host: str) -> Iterator[Front]:
    """Stand before the registry at ``host``, which is a name and port."""
    front = Front()
    handler = type("Handler", (_Handler,), {"front": front, "target": host})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    front.host = f"127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield front
    finally:
        server.shutdown()
        server.server_close()
