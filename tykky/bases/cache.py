"""The images that were pulled: one copy for a site, shared by all installs that use it.

Each is a file named after its digest, ``<bases_dir>/<digest16>.sif`` or ``.sqfs``, with a JSON
beside it that says what it is. The JSON is written last, so that its existence means a whole
image. A file is never written twice.

The time of the JSON is when the image was used last, as far as whoever used it may write there.
An image is unused if no install runs on it (nor one in the trash, whose programs may go on), the
configuration does not name it, and it was neither pulled nor built upon for a day: a build may be
under way that no record tells of yet.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.bases.base import arch
from tykky.bases.reference import resolve
from tykky.errors import Exit, TykkyError, from_os_error
from tykky.files import Permissions, digest_file, read_json, sync, write_file

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.store import Store

FORMAT = 1
_DAY = 86400


@dataclass(frozen=True)
class Pulled:
    """A pulled image.

    ``references`` are the names by which it was pulled. ``digest`` is what it is known by: that
    of its manifest in a registry, of its archive, or of its definition. ``sha256`` and ``bytes``
    are those of the file here. ``config`` is what an image from a registry says of itself.
    """

    references: tuple[str, ...]
    digest: str
    file: str
    sha256: str
    bytes: int
    arch: str
    pulled: str  # ISO 8601, UTC
    config: Mapping[str, Any] = field(default_factory=dict)


def all_pulled(config: Config, say: Callable[[str], None] = lambda _: None) -> list[Pulled]:
    """Everything in the cache, the newest first; ``say`` is told what cannot be read."""
    found = []
    for path in sorted(config.bases_dir.glob("*.json")):
        try:
            found.append(_read(path))
        except TykkyError as error:
            say(f"{error.cause}; it is left out")
    return sorted(found, key=lambda pulled: pulled.pulled, reverse=True)


def by_digest(config: Config, digest: str) -> Pulled | None:
    """The pulled image with that digest, if there is one."""
    path = _entry(config, digest)
    return _read(path) if path.exists() else None


def use(config: Config, digest: str) -> Pulled | None:
    """The pulled image with that digest, which nobody deletes for a day from now on."""
    path = _entry(config, digest)
    if path.exists() and os.access(config.bases_dir, os.W_OK):
        with claim(config, digest), suppress(OSError):
            os.utime(path)
    return by_digest(config, digest)


def by_reference(config: Config, reference: str) -> Pulled | None:
    """The image for this machine that was pulled last by that name."""
    return next(
        (p for p in all_pulled(config) if reference in p.references and p.arch == arch()), None
    )


def file_of(config: Config, pulled: Pulled) -> Path:
    """Where the file of a pulled image is."""
    return config.bases_dir / pulled.file


def problem_of(config: Config, pulled: Pulled) -> str:
    """What is wrong with the file of a pulled image, which is read for that; empty if nothing."""
    try:
        found = digest_file(file_of(config, pulled))
    except FileNotFoundError:
        return "it is missing"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return "" if found == pulled.sha256 else f"its sha256 is {found} instead of {pulled.sha256}"


def _entry(config: Config, digest: str) -> Path:
    return config.bases_dir / name_of(digest, "json")


def _read(path: Path) -> Pulled:
    try:
        data = read_json(path)
        if data.pop("format") != FORMAT:
            raise ValueError("it was written by another version of Tykky")
        found = Pulled(**{**data, "references": tuple(map(str, data["references"]))})
        texts = (found.digest, found.file, found.sha256, found.arch, found.pulled)
        if not (found.references and all(isinstance(text, str) for text in texts)):
            raise ValueError("it lacks what it should say")
        return found
    except OSError as error:
        raise from_os_error(error, f"read {path}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TykkyError(
            f"{path} is damaged: {error}",
            remedy="remove it and the image beside it, and pull the image again",
            code=Exit.DAMAGED,
        ) from error


@contextmanager
def claim(config: Config, digest: str) -> Iterator[Path]:
    """Be the only one who pulls an image; gives a path to put it at for the time being."""
    from tykky.store.claims import take

    new = config.bases_dir / f".{digest[:16]}.new"
    lock = take(new.with_suffix(".lock"), _permissions(config), "an image")
    try:
        try:
            new.unlink(missing_ok=True)  # what somebody has left who was killed
            yield new
        finally:
            new.unlink(missing_ok=True)
            if lock is not None:
                lock.release()
    except OSError as error:
        raise from_os_error(error, f"keep an image in {config.bases_dir}") from error


def keep(config: Config, new: Path, pulled: Pulled) -> None:
    """Give an image its place; what it says of itself is written last."""
    _permissions(config).apply(new)
    sync(new)
    new.replace(file_of(config, pulled))
    describe(config, pulled)


def describe(config: Config, pulled: Pulled) -> None:
    """Write what is known of a pulled image."""
    text = json.dumps({"format": FORMAT, **asdict(pulled)}, indent=1) + "\n"
    write_file(_entry(config, pulled.digest), text.encode(), _permissions(config))


def is_own(config: Config) -> bool:
    """Whether the images are those of this store: others may share what a site has configured."""
    return config.origin("bases_dir").scope == "defaults"


def unused(
    config: Config, store: Store, older_than: float, without: Collection[tuple[Path, int]] = ()
) -> list[Pulled]:
    """The images that nothing refers to, and nothing has used for so many seconds.

    What goes ``without`` counting are places and generations of them. Raises ``StoreError`` if an
    install cannot be read, since nobody knows what it runs on.
    """
    digests, files = set(), set()
    for record in store.records(without):
        digests.add(record.base.get("digest", ""))
        files.add(str(record.launch.get("root") or ""))
    references = set()
    for name in (config.base, "auto", *dict(config.bases)):
        with suppress(TykkyError):  # an alias that leads nowhere uses nothing
            references.add(str(resolve(name, config.bases, Path("/"))))
    return [
        pulled
        for pulled in all_pulled(config)
        if pulled.digest not in digests
        and str(file_of(config, pulled)) not in files | references
        and not (pulled.arch == arch() and references & {*pulled.references})
        and _age(config, pulled) >= max(older_than, _DAY)
    ]


def _age(config: Config, pulled: Pulled) -> float:
    return time.time() - _entry(config, pulled.digest).stat().st_mtime


def delete(config: Config, pulled: Pulled, older_than: float) -> int:
    """Delete an image unless it has come into use meanwhile; how many bytes that freed."""
    with claim(config, pulled.digest) as aside:
        try:
            if _age(config, pulled) < max(older_than, _DAY):
                return 0
        except FileNotFoundError:
            return 0
        _entry(config, pulled.digest).unlink()  # first, for it says that the image is there
        with suppress(FileNotFoundError):
            file_of(config, pulled).rename(aside)  # which is left to a later sweep if it is busy
    return pulled.bytes


def sweep(config: Config) -> None:
    """Remove what killed pulls left: halves of images, and locks."""
    from filelock import Timeout

    from tykky.store.claims import Lock, remove_unused

    for half in config.bases_dir.glob(".*.new"):
        with suppress(OSError, Timeout), Lock(half.with_suffix(".lock"), timeout=0):
            half.unlink()
    remove_unused(config.bases_dir.glob(".*.lock"))


def name_of(digest: str, suffix: str) -> str:
    """The file name of an image in the cache."""
    return f"{digest[:16]}.{suffix}"


def _permissions(config: Config) -> Permissions:
    from tykky.store import Store

    return Store.of(config).permissions
