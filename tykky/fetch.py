"""Downloads: resumed, verified, kept, and taken from mirrors where there are some.

A file is known by its sha256. It is kept in ``<cache_dir>/downloads`` under that digest and is
digested again whenever it is used, so a damaged or altered copy is never handed out. A download
that breaks off goes on where it stopped, in the same run or the next.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from tykky.console import size, warn
from tykky.errors import Exit, StepError, TykkyError, from_os_error, masked
from tykky.files import digest_file

if TYPE_CHECKING:
    import requests

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

Say = Callable[[str], None]
#: From an address to the headers that a request for it needs now.
Renew = Callable[[str], Mapping[str, str]]

#: Seconds to wait for a connection, and by default for the next bytes of an answer.
CONNECT, PATIENCE = 15, 60
#: How often in a row a source may fail without sending one more byte.
FRUITLESS = 3
#: How many files are downloaded at once.
_AT_ONCE = 8
#: Where distributions keep the authorities that they, and a site, trust.
_AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)
#: What is taken off a connection at once: little, so that of a slow one much is kept.
_PIECE = 1 << 16


class _Denied(StepError):
    """A server wants to know who asks, and does not accept what it was told."""


class _BrokenOff(Exception):
    """A download that ended early; what has come is kept. ``silent``: nothing more came."""

    def __init__(self, why: str, silent: bool = False) -> None:
        super().__init__(why)
        self.silent = silent


def is_sha256(text: str) -> bool:
    """Whether a text is a sha256 in hex."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def fetch(
    url: str,
    sha256: str,
    cache_dir: Path,
    *,
    mirrors: Sequence[str] = (),
    source: str = "",
    headers: Mapping[str, str] | None = None,
    renew: Renew | None = None,
    patience: int = PATIENCE,
    size: int | None = None,
    say: Say = lambda _: None,
) -> Path:
    """The path of the file with this digest in the cache, downloaded if it is not there.

    The ``mirrors`` are tried first, in order, then ``url`` itself (``https``, ``http`` or
    ``file``), or in its stead ``source``, which is the same with credentials; ``headers`` go there
    only, and ``renew`` gives others for those that the server does not accept, or no longer.
    ``patience`` is how many seconds a server may send nothing before it is asked again. Of one that
    sends more than the ``size`` that the file is said to have, no more is taken. ``say`` is told
    what is under way.

    Raises ``StepError``: with code ``DAMAGED`` and both digests if the last source has another
    file, with ``NETWORK`` if none can be reached.
    """
    kept = cache_dir / "downloads" / sha256
    with _alone(kept):
        if kept.exists():
            if digest_file(kept) == sha256:
                return kept
            warn(f"{kept} is not the file that it was, and is fetched again: {masked(url)}")
            kept.unlink()
        partial = kept.with_name(f"{sha256}.part")
        for mirror in mirrors:
            there = _Download(on_mirror(mirror, url), partial, patience, say)
            try:
                return there.verified(sha256).replace(kept)
            except StepError as error:
                say(f"{error.cause}; trying the next source")
        last = _Download(source or url, partial, patience, say, headers or {}, renew, size)
        return last.verified(sha256).replace(kept)


def kept(sha256: str, cache_dir: Path) -> Path | None:
    """The file with this digest, if it is in the cache and whole. Raises ``TykkyError``."""
    path = cache_dir / "downloads" / sha256
    if not path.exists():
        return None
    with _alone(path):
        return path if path.exists() and digest_file(path) == sha256 else None


def together(action: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """What an action, which downloads, gives for each; a few at once, and none after a failure."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        pending = [pool.submit(action, item) for item in items]
        try:
            return [future.result() for future in pending]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def certificates() -> str | bool:
    """Which authorities are trusted: those named, else this machine's, else those of requests.

    Sites add their own to the machine's, which uv and curl go by.
    """
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        if os.environ.get(name):
            return os.environ[name]
    return next((path for path in _AUTHORITIES if Path(path).is_file()), True)


def fetch_unpinned(
    url: str,
    cache_dir: Path,
    say: Say = lambda _: None,
    *,
    headers: Mapping[str, str] | None = None,
    patience: int = PATIENCE,
) -> tuple[Path, str]:
    """Download a file that nothing is known of, anew each time; its path and its sha256.

    No mirror is asked, since nobody could tell whether it has the right file.
    """
    name = hashlib.sha256(url.encode()).hexdigest()
    partial = cache_dir / "downloads" / f"unpinned-{name}.part"
    with _alone(partial):
        partial.unlink(missing_ok=True)
        _Download(url, partial, patience, say, headers or {}).receive()
        digest = digest_file(partial)
        return partial.replace(partial.with_name(digest)), digest


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time download a file, and explain what the disk refuses."""
    from filelock import FileLock

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            yield
    except OSError as error:
        raise from_os_error(error, f"download to {path.parent}", "cache_dir") from error


def is_there(url: str, *, patience: int = PATIENCE) -> bool:
    """Whether a server or a disk has a file, as far as it can be reached."""
    import requests

    if urlsplit(url).scheme == "file":
        return Path(unquote(urlsplit(url).path)).is_file()
    try:
        wait = (CONNECT, patience)
        answer = requests.head(url, allow_redirects=True, timeout=wait, verify=certificates())
    except requests.RequestException:
        return False
    return answer.status_code == 200


def on_mirror(mirror: str, url: str) -> str:
    """Where a mirror has what is at ``url``: below the host's name, as ``wget -x`` makes it."""
    parts = urlsplit(url)
    return f"{mirror.rstrip('/')}/{parts.hostname or 'localhost'}{parts.path}"


@dataclass
class _Download:
    """A file of one source on its way to ``partial``; ``say`` is told how it goes.

    ``headers`` is what a request brings along, ``renew`` gives others.
    """

    url: str
    partial: Path
    patience: int
    say: Say
    headers: Mapping[str, str] = field(default_factory=dict)
    renew: Renew | None = None
    most: int | None = None

    def verified(self, sha256: str) -> Path:
        """Receive the file that has this digest. Raises ``StepError`` for another one."""
        resumed = self.partial.exists()
        self.receive()
        found = digest_file(self.partial)
        if found != sha256 and resumed:
            # Its beginning may be of another file, or of another source.
            self.partial.unlink()
            self.receive()
            found = digest_file(self.partial)
        if found != sha256:
            self.partial.unlink()
            raise StepError(
                f"{self.url} is not the file that was expected: its sha256 is {found} instead of "
                f"{sha256}",
                remedy="find out why it changed before you trust it; then correct the digest",
                code=Exit.DAMAGED,
            )
        return self.partial

    def receive(self) -> None:
        """Complete the file, in as many attempts as make progress."""
        path = Path(unquote(urlsplit(self.url).path))
        name = re.sub(r"^(?:sha256:)?([0-9a-f]{12})[0-9a-f]{52}$", r"\1", path.name or self.url)
        self.say(f"downloading {name}")
        if urlsplit(self.url).scheme == "file":
            if not path.is_file():
                raise StepError(
                    f"there is no file {path}", remedy="check the address in the recipe"
                )
            shutil.copyfile(path, self.partial)
            return
        fruitless, denied_at = 0, -1
        while True:
            before = self._size()
            try:
                self._attempt(name)
                return
            except _Denied:
                # A token that ended meanwhile; one that is new and denied stays so.
                if self.renew is None or before == denied_at:
                    raise
                denied_at = before
                self.headers = self.renew(self.url)
            except _BrokenOff as error:
                fruitless = 0 if self._size() > before else fruitless + 1
                if fruitless == FRUITLESS:
                    raise unreachable(self.url, str(error), silent=error.silent) from error
                self.say(f"downloading {name}: {error}; trying again")
                time.sleep(0.2 * 4**fruitless)

    def _size(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    def _attempt(self, name: str) -> None:
        import requests
        from urllib3.exceptions import HTTPError

        # The file itself, and not a form that a server thinks is handier.
        have, wanted = self._size(), {**self.headers, "Accept-Encoding": "identity"}
        if have:
            wanted["Range"] = f"bytes={have}-"
        try:
            with requests.get(
                self.url,
                headers=wanted,
                stream=True,
                timeout=(CONNECT, self.patience),
                verify=certificates(),
                auth=as_it_is if "Authorization" in wanted else None,
            ) as answer:
                if answer.status_code == 416:  # nothing follows; or another file, says the digest
                    return
                _check_status(answer, self.url)
                begins = answer.headers.get("Content-Range", "")
                goes_on = answer.status_code == 206 and begins.startswith(f"bytes {have}-")
                self._save(answer, have if goes_on else 0, name)
        except requests.exceptions.InvalidURL as error:
            raise unreachable(self.url, "the address is not valid") from error
        except (requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema) as error:
            raise StepError(
                f"{self.url} is no address that can be downloaded",
                remedy="an address starts with https://, http:// or file://",
            ) from error
        except (requests.RequestException, HTTPError) as error:
            raise _BrokenOff(reason(error, self.patience), is_silence(error)) from error

    def _save(self, answer: requests.Response, start: int, name: str) -> None:
        from urllib3.exceptions import ProtocolError

        length = answer.headers.get("Content-Length")
        end = start + int(length) if length and length.isdigit() else None
        have, told = start, time.monotonic()
        with self.partial.open("r+b" if start else "wb") as stream:
            stream.seek(start)
            # A connection that ends early is told by the number of bytes.
            with suppress(*((ProtocolError,) if end else ())):
                for block in answer.raw.stream(_PIECE, decode_content=False):
                    stream.write(block)
                    have += len(block)
                    if self.most is not None and have > self.most:
                        break  # which the digest tells
                    if time.monotonic() - told > 0.5:
                        told = time.monotonic()
                        of = f" of {size(end)}" if end else ""
                        self.say(f"downloading {name}, {size(have)}{of}")
        if end is not None and have < (end if self.most is None else min(end, self.most)):
            raise _BrokenOff(f"it broke off after {have} of {end} bytes")


def _check_status(answer: requests.Response, url: str) -> None:
    """Raise for an answer that is not the file: for good, or to be tried again."""
    status = answer.status_code
    if status < 400:
        return
    if status in (408, 429) or status >= 500:
        raise _BrokenOff(f"the server answers {status} {answer.reason}")
    remedy = "check the address; the file may have moved"
    if status in (401, 403):
        remedy = "the server lets only some users have it: ask its owner, or use a mirror"
    kind = _Denied if status == 401 else StepError
    raise kind(f"{url} cannot be had: the server answers {status} {answer.reason}", remedy=remedy)


def as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Send a request as it is: what ``~/.netrc`` has for the server is for other programs."""
    return request


def _innermost(error: Exception) -> Any:
    inner: Any = error
    while getattr(inner, "args", None) and isinstance(inner.args[-1], BaseException):
        inner = inner.args[-1]
    return getattr(inner, "reason", None) or inner


def is_silence(error: Exception) -> bool:
    """Whether an error of requests or urllib3 is that a server has sent nothing for too long."""
    from urllib3.exceptions import ReadTimeoutError

    return isinstance(_innermost(error), ReadTimeoutError | TimeoutError)


def reason(error: Exception, patience: int) -> str:
    """The innermost reason of an error of requests or urllib3, without its wrappings."""
    if is_silence(error):
        return f"the server sent nothing for {patience} s"
    text = _innermost(error)
    words = re.sub(
        r"<[^>]*>:?\s*|\(Caused by.*|HTTPS?Connection(?:Pool)?\([^)]*\):?\s*", "", str(text)
    )
    return words.strip() or type(error).__name__


def unreachable(
    url: str, why: str, *, silent: bool = False, mirrors: str = "mirrors"
) -> TykkyError:
    """The error for a server that does not give what it should, or gives nothing at all.

    ``mirrors`` is the key of the configuration that could help.
    """
    remedy = (
        "try again later, what has come is kept; or be more patient: "
        "'tykky config set timeout 600' (seconds)"
    )
    if not silent:
        host = urlsplit(url).netloc.rpartition("@")[2] or url
        remedy = (
            f"check the network and proxies, or name a mirror that has the files of {host}: "
            f"'tykky config why {mirrors}'"
        )
    return StepError(f"{url} cannot be downloaded: {why}", remedy=remedy, code=Exit.NETWORK)
