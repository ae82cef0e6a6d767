"""Parts and manifests into one repository of a registry.

A part is sent in pieces. What breaks off goes on from what the registry has received, where it
keeps that (the registry of Docker forgets a piece that was cut, and the part with it), in the same
call or the next; else the part begins anew. The last address of an upload is kept for that with
the downloads.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from tykky import fetch
from tykky.bases.session import Session
from tykky.console import size
from tykky.errors import Exit, StepError, TykkyError, explained
from tykky.exchange.artifact import MANIFEST, Part
from tykky.files import parse_json
from tykky.lock import digest_of

if TYPE_CHECKING:
    import requests

#: So many bytes go in one request, unless a registry wants more: ghcr.io takes no more at once.
_PIECE = 4 << 20
_NOTHING: Mapping[str, str] = {}
_RAW = {"Content-Type": "application/octet-stream"}
#: What a registry answers that will do better after a while.
_LATER = (408, 429, 500, 502, 503, 504)


class _Again(Exception):
    """A piece has not arrived; ``error`` is what is told if that stays so."""

    def __init__(self, error: TykkyError) -> None:
        super().__init__(error.cause)
        self.error = error


def has(session: Session, part: Part) -> bool:
    """Whether a repository has a part. Raises ``TykkyError``."""
    url = session.blob(part.digest)
    answer, _ = session.ask("HEAD", url)
    if answer.status_code not in (200, 404):
        raise refused(session, answer, b"", url)
    return answer.status_code == 200


def part(
    session: Session, part: Part, cache: Path, say: Callable[[str], None], mounts: Iterable[str]
) -> int:
    """Let a repository have a part; how many bytes of it were sent.

    Other repositories of the registry may have it: ``mounts``. Raises ``TykkyError``.
    """
    return 0 if has(session, part) else _Upload(session, part, cache, say, [*mounts]).send()


@dataclass
class _Upload:
    """One part on its way; ``url`` is where its next piece goes, ``sent`` counts what went."""

    session: Session
    part: Part
    cache: Path
    say: Callable[[str], None]
    mounts: list[str]
    url: str = ""
    sent: int = 0
    least: int = 0

    @property
    def kept(self) -> Path:
        """Where the address is kept."""
        name = digest_of([self.session.address, self.part.sha256])[:32]
        return self.cache / "downloads" / f"upload-{name}.json"

    def send(self) -> int:
        """Send all of it, in as many attempts as make progress."""
        fruitless, most = 0, 0
        while True:
            try:
                start = self._received()
                fruitless, most = (0, start) if start > most else (fruitless, most)
                if not (start or self.url) and self._begin():
                    return 0
                self._pieces(start)
                self.kept.unlink(missing_ok=True)
                return self.sent
            except _Again as problem:
                fruitless += 1
                if fruitless > fetch.FRUITLESS:
                    raise problem.error from problem
                self.say(f"{problem.error.cause}; trying again")
                time.sleep(0.1 * 4**fruitless)

    def _begin(self) -> bool:
        """Open an upload; or have the part from another repository, which is told."""
        url = f"{self.session.address}/blobs/uploads/"
        empty = {"Content-Length": "0"}
        while self.mounts:
            query = {"mount": self.part.digest, "from": self.mounts.pop()}
            answer, text = self._ask("POST", f"{url}?{urlencode(query)}", empty)
            if answer.status_code == 201:
                return True
            if answer.status_code == 202:
                break
        else:
            answer, text = self._ask("POST", url, empty)
        self._go_on(answer, text, url, 202)
        least = answer.headers.get("OCI-Chunk-Min-Length", "")
        self.least = int(least) if re.fullmatch("[0-9]{1,9}", least) else 0
        return False

    def _received(self) -> int:
        """How much is received of an upload that is still known; else there is no ``url``."""
        if not self.url:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                known = str(parse_json(self.kept.read_bytes())["url"])
                self.url = known if known.startswith(f"{self.session.address}/") else ""
        if self.url:
            answer, _ = self._ask("GET", self.url)
            found = re.fullmatch(r"(?:bytes=)?0-(\d+)", answer.headers.get("Range", ""))
            if answer.status_code in (202, 204) and found:
                self.url = self._address(answer)
                return int(found[1]) + 1 if found[1] != "0" else 0  # where nothing came: 0-0
        self.url = ""
        self.kept.unlink(missing_ok=True)
        return 0

    def _pieces(self, start: int) -> None:
        total = self.part.size
        with self._opened() as stream:
            while start < total or not total:
                stream.seek(start)
                piece = stream.read(max(_PIECE, self.least))
                end = start + len(piece)
                if not piece or end > total:
                    raise StepError(
                        f"{self.part.path} is not what was installed: it ends after {start} of "
                        f"{total} bytes",
                        remedy="'tykky verify' says what brings it back",
                        code=Exit.DAMAGED,
                    )
                told = {"Content-Range": f"{start}-{end - 1}", **_RAW}
                answer, text = self._ask("PATCH", self.url, told, piece)
                self._go_on(answer, text, self.url, 202, 204)
                self.sent += len(piece)
                start = end
                self.say(f"{size(start)} of {size(total)}")
        parts = urlsplit(self.url)
        query = urlencode([*parse_qsl(parts.query), ("digest", self.part.digest)])
        url = urlunsplit(parts._replace(query=query))
        answer, text = self._ask("PUT", url, {"Content-Length": "0"})
        if answer.status_code == 400:
            raise StepError(
                f"the registry {self.session.host} has received {self.part.title or 'a part'} with "
                f"another sha256 than {self.part.sha256}",
                remedy="is it what was installed? 'tykky verify' tells; else push again",
                code=Exit.DAMAGED,
            )
        self._check(answer, text, url, 201)

    def _opened(self) -> contextlib.AbstractContextManager[BinaryIO]:
        if self.part.path is None:
            return io.BytesIO(self.part.data)
        with explained(f"read {self.part.path}"):
            return self.part.path.open("rb")

    def _ask(
        self, method: str, url: str, headers: Mapping[str, str] = _NOTHING, data: bytes = b""
    ) -> tuple[requests.Response, bytes]:
        try:
            return self.session.ask(method, url, headers, data=data or None)
        except StepError as error:
            if error.code is not Exit.NETWORK:
                raise
            raise _Again(error) from error

    def _go_on(self, answer: requests.Response, text: bytes, url: str, *wanted: int) -> None:
        self._check(answer, text, url, *wanted)
        self.url = self._address(answer)
        with explained("keep how far an upload is", "cache_dir"):
            self.kept.parent.mkdir(parents=True, exist_ok=True)
            self.kept.write_text(json.dumps({"url": self.url}))

    def _check(self, answer: requests.Response, text: bytes, url: str, *wanted: int) -> None:
        if answer.status_code in wanted:
            return
        error = refused(self.session, answer, text, url)
        if (answer.status_code in _LATER and error.code is Exit.NETWORK) or _is_gone(answer):
            raise _Again(error)
        raise error

    def _address(self, answer: requests.Response) -> str:
        """Where it goes on: never on another server, which would get the token.

        Raises ``StepError``.
        """
        if self.url and "Location" not in answer.headers:
            return self.url
        here = urlsplit(self.session.address)
        there = urlsplit(urljoin(f"{self.session.address}/", answer.headers.get("Location", "")))
        if there.hostname != here.hostname or there.path == f"{here.path}/":
            raise StepError(
                f"the registry {self.session.host} wants the parts of artifacts to be sent "
                f"elsewhere: {there.hostname}",
                remedy="ask who runs it whether its own address is configured rightly there",
                code=Exit.NETWORK,
            )
        return urlunsplit(there._replace(scheme=here.scheme, netloc=here.netloc))


def _is_gone(answer: requests.Response) -> bool:
    """Whether an upload is not known any more, or is not where it was thought to be."""
    return answer.status_code in (404, 416)


def manifest(session: Session, text: bytes, tags: Iterable[str]) -> None:
    """Give an artifact its names. Raises ``TykkyError``; then it has those that came before."""
    for tag in tags:
        url = f"{session.address}/manifests/{tag}"
        answer, said = session.ask("PUT", url, {"Content-Type": MANIFEST}, data=text)
        if answer.status_code not in (200, 201, 202):
            raise refused(session, answer, said, url)


def refused(session: Session, answer: requests.Response, text: bytes, url: str) -> TykkyError:
    """The error for an answer of a registry that does not take what is pushed."""
    status, why = answer.status_code, _said(text)
    what = f"{answer.status_code} {answer.reason}" + (f" ({why})" if why else "")
    cause = f"the registry {session.host} does not take it: {what} for {session.repository}"
    if status in (413, 507) or re.search(r"(?i)quota|no space|disk|storage is full", why):
        remedy = "ask who runs it for space, or delete there what is not needed any more"
        if status == 413:
            remedy = "ask who runs it, or the proxy before it, to let larger requests through"
        return StepError(cause, remedy=remedy, code=Exit.NO_SPACE)
    if status == 405 or "read-only" in why.lower() or "UNSUPPORTED" in why:
        remedy = "it is read-only: name another with --to, or ask who runs it"
        return StepError(cause, remedy=remedy, code=Exit.NOT_WRITABLE)
    if status in (401, 403):
        who = f"as '{session.known.user}' of {session.known.source}" if session.known else "so"
        remedy = (
            f"you may not write there {who}: podman login {session.host} (docker, skopeo or "
            "apptainer do, too), or ask for the right to push"
        )
        return StepError(cause, remedy=remedy, code=Exit.NOT_WRITABLE)
    if status in (404, 400) or status < 400:
        remedy = "check the name of the registry and of its project: 'tykky config why registries'"
        return StepError(cause, remedy=remedy, code=Exit.NOT_FOUND)
    remedy = "try again later, what has come is kept; or ask who runs the registry"
    return StepError(cause, remedy=remedy, code=Exit.NETWORK)


def _said(text: bytes) -> str:
    """What a registry says is wrong: OCI distribution, error codes."""
    with contextlib.suppress(ValueError, KeyError, TypeError, IndexError, AttributeError):
        first = parse_json(text)["errors"][0]
        words = f"{first.get('code', '')}: {first.get('message') or first.get('detail') or ''}"
        if '"Err":28' in json.dumps(first, separators=(",", ":")):
            words = "no space left on its disk"  # as the registry of Docker tells it
        return re.sub(r"\s+", " ", words)[:200]
    return ""
