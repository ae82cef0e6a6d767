"""Who gives tokens for a registry: what docker.io, ghcr.io and quay.io have beside theirs.

The tokens are those of the registry's specification (a JSON web token signed with the key that a
certificate names), made with openssl, and checked by the real registry.
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.images import PASSWORD, USER

#: Everybody may read what is in this folder of the registry; the rest is for ``USER``.
PUBLIC = "public/"


@dataclass
class Tokens:
    """A server of tokens: its ``address``, and who ``asked`` for which scope.

    ``answer`` is what it says instead of a token, if it is set.
    """

    folder: Path
    address: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    answer: bytes = b""

    @property
    def auth(self) -> str:
        """The section of the registry's configuration that sends everybody here."""
        return (
            f"{{token: {{realm: '{self.address}/token', service: tests, issuer: tests, "
            f"rootcertbundle: {self.folder}/tokens.crt}}}}"
        )

    def make_key(self) -> None:
        """A key, and the certificate by which a registry knows it."""
        key = ["-newkey", "rsa:2048", "-nodes", "-keyout", f"{self.folder}/tokens.key"]
        certificate = ["-x509", "-subj", "/CN=tests", "-out", f"{self.folder}/tokens.crt"]
        subprocess.run(
            ["openssl", "req", *key, *certificate], check=True, stderr=subprocess.DEVNULL
        )

    def token(self, user: str, scope: str) -> str:
        """A token with what somebody may do of what they ask for."""
        kind, name, actions = scope.split(":") if scope else ("", "", "")
        may = actions.split(",") if user else ["pull"] if name.startswith(PUBLIC) else []
        access = [{"type": kind, "name": name, "actions": may}] if may and kind else []
        now = int(time.time())
        lines = (self.folder / "tokens.crt").read_text().splitlines()
        header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(lines[1:-1])]}
        claims = {
            "iss": "tests",
            "sub": user,
            "aud": "tests",
            "iat": now,
            "nbf": now - 60,
            "exp": now + 300,
            "jti": "1",
            "access": access,
        }
        text = b".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
        line = ["openssl", "dgst", "-sha256", "-sign", f"{self.folder}/tokens.key"]
        signature = subprocess.run(line, input=text, check=True, stdout=subprocess.PIPE).stdout
        return b".".join((text, _base64(signature))).decode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class _Handler(BaseHTTPRequestHandler):
    tokens: Tokens

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        scope = query.get("scope", [""])[0]
        login = self.headers.get("Authorization", "").removeprefix("Basic ")
        user, _, password = base64.b64decode(login).decode().partition(":")
        self.tokens.asked.append((user, scope))
        if user and (user, password) != (USER, PASSWORD):
            self.send_error(401)
            return
        made = json.dumps({"token": self.tokens.token(user, scope)}).encode()
        body = self.tokens.answer or made
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing: a test that fails shows ``asked``."""


@contextmanager
def give_tokens(folder: Path) -> Iterator[Tokens]:
    """Run a server of tokens on a free port of this machine."""
    tokens = Tokens(folder)
    tokens.make_key()
    handler = type("Handler", (_Handler,), {"tokens": tokens})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    tokens.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield tokens
    finally:
        server.shutdown()
        server.server_close()
