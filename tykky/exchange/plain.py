"""What of an install leaves this machine: nothing that is only its builder's.

The log of the build stays, and where the recipe lay; passwords and tokens are refused, wherever
they are, and so is the home directory of whoever has built or pushes it.
"""

from __future__ import annotations

import contextlib
import io
import pwd
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from tykky.errors import Exit, StoreError, explained, has_secret, masked
from tykky.exchange.artifact import FILE, FOLDER, Part
from tykky.files import read_small
from tykky.inventory import cyclonedx
from tykky.runtime.base import CONF_NAME
from tykky.store import Place, Record, signatures
from tykky.store import record as records

#: What of a generation is made where it is installed, or for its builder only.
_STAYS = (
    *(records.NAME, signatures.NAME, signatures.PULLED),
    *(CONF_NAME, "host", "root", "build.log.gz"),
)
#: What is told of packages: addresses of files are in it, which may have been somebody's own.
_TOLD = ("packages.json", cyclonedx.FILE)
#: Contents by relative path, and whether each is a program.
Files: TypeAlias = "dict[str, tuple[bytes, bool]]"


@dataclass(frozen=True)
class Homes:
    """The home directories that are not to be named, but where an install lies in one itself."""

    paths: tuple[str, ...]
    roots: tuple[str, ...]

    @classmethod
    def of(cls, record: Record) -> Homes:
        """Those of whoever has built an install, and of whoever asks."""
        found = {str(Path.home()), str(Path.home().resolve())}
        with contextlib.suppress(KeyError):
            found.add(pwd.getpwnam(record.by.get("user", "")).pw_dir)
        prefixes = (record.prefix, *(need.rpartition("#")[0] for need in record.needs))
        paths = sorted((p for p in found if Path(p).parent != Path(p)), key=len, reverse=True)
        return cls(tuple(paths), tuple(str(Path(prefix).parents[2]) for prefix in prefixes))

    @classmethod
    def own(cls) -> Homes:
        """That of whoever asks."""
        return cls(tuple({str(Path.home()), str(Path.home().resolve())}), ())

    @property
    def around(self) -> str:
        """The home that the install itself lies in, whose path its programs have in them."""
        inside = (p for p in self.paths for root in self.roots if Path(p) in Path(root).parents)
        return next(inside, "")

    def hidden(self, text: str) -> str:
        """A text with ``~`` for each of them."""
        for home in self.paths:
            text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
        return text

    def problem(self, text: str) -> str:
        """What a text may not say, or nothing."""
        for root in self.roots:
            text = text.replace(root, "")
        if self.hidden(text) != text:
            return "names a home directory"
        return "has a password, token or key in it" if has_secret(text) else ""


def record_of(record: Record, homes: Homes, parts: Mapping[str, str]) -> Record:
    """The record of an install as it is pushed; ``parts`` are notes of what goes with it."""
    read = {homes.hidden(path): digest for path, digest in record.read.items()}
    kept = {key: homes.hidden(value) for key, value in record.base.items()}
    return replace(
        record,
        recipe={**record.recipe, "file": ""},
        repository={k: homes.hidden(masked(v)) for k, v in record.repository.items()},
        read=read,
        base=kept,
        fetched=tuple({k: _hidden(v, homes) for k, v in f.items()} for f in record.fetched),
        steps=(),
        marks={},
        notes=dict(parts),
    )


def _hidden(value: Any, homes: Homes) -> Any:
    return homes.hidden(value) if isinstance(value, str) else value


def beside(record: Record, homes: Homes) -> list[Part]:
    """What lies beside a record and goes with it: files, and folders as archives.

    Raises ``StoreError`` for what may not be told to others.
    """
    folder = Place(Path(record.prefix)).generation(record.generation)
    parts = []
    with explained(f"read {folder}"):
        for path in sorted(folder.iterdir()):
            if path.name in _STAYS or path.is_symlink():
                continue
            if path.is_dir():
                files = {
                    str(p.relative_to(folder)): (read_small(p), bool(p.stat().st_mode & 0o100))
                    for p in _files(path)
                }
                for name, (data, _) in files.items():
                    check(name, data, homes, record.title)
                parts.append(Part.of(packed(files), FOLDER, f"{path.name}.tar"))
                continue
            data = read_small(path)
            if path.name in _TOLD:
                data = masked(homes.hidden(data.decode(errors="surrogateescape"))).encode(
                    errors="surrogateescape"
                )
            check(path.name, data, homes, record.title)
            parts.append(Part.of(data, FILE, path.name))
    return parts


def _files(folder: Path) -> Iterator[Path]:
    yield from (p for p in sorted(folder.rglob("*")) if p.is_file() and not p.is_symlink())


def check(name: str, data: bytes, homes: Homes, title: str) -> None:
    """Raise ``StoreError`` if a file may not be told to others."""
    if problem := homes.problem(data.decode(errors="replace")):
        raise StoreError(
            f"{name} of {title} {problem}, and everybody who pulls it would see that",
            remedy="take that out of the recipe and its lock, and install it again",
            code=Exit.RECIPE,
        )


def packed(files: Files) -> bytes:
    """An archive of files that is the same for the same files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, (data, is_program) in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755 if is_program else 0o644
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def unpacked(data: bytes, what: str) -> Files:
    """The files of such an archive. Raises ``StoreError`` if there is anything else in it."""
    found: Files = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for info in archive:
                is_file = info.isreg() and not info.issparse()  # which may be of any size
                stream = archive.extractfile(info) if is_file else None
                if stream is None or ".." in Path(info.name).parts or info.name[:1] == "/":
                    raise ValueError(f"it has {info.name!r}")
                found[info.name] = (stream.read(), bool(info.mode & 0o100))
    except (tarfile.TarError, ValueError, EOFError) as error:
        cause = f"{what} has an archive that Tykky has not made: {error}"
        raise StoreError(cause, remedy="ask who has made it", code=Exit.DAMAGED) from None
    return found
