"""Bases that are images: SIF, squashfs or a root directory, what is in them, if they are whole.

A SIF holds a squashfs somewhere in the middle, which is mounted at its offset; nothing here runs
a container. The contents are listed and read with ``unsquashfs``.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tykky.bases.base import Base, arch, search
from tykky.bases.reference import unreadable
from tykky.errors import Exit, TykkyError, from_os_error
from tykky.files import open_regular, parse_json
from tykky.tools.enclosure import PATH

# The SIF format, version 1: https://github.com/apptainer/sif (pkg/sif: header and descriptors).
_MAGIC = b"SIF_MAGIC\0"
_DESCRIPTOR = struct.Struct("<i?IIIqqqqqqq128s384s")
_PARTITION, _JSON = 0x4004, 0x4006
_SQUASHFS, _ENCRYPTED = 1, 5
_PRIMARY = 2
_ARCHITECTURES = {
    "01": "i386",
    "02": "x86_64",
    "03": "arm",
    "04": "aarch64",
    "05": "ppc64",
    "06": "ppc64le",
    "13": "s390x",
    "14": "riscv64",
}


# elf(5), e_machine.
_MACHINES = {3: "i386", 21: "ppc64le", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64"}
_MACHINES |= {243: "riscv64"}
#: How many names are given to a program at once.
_AT_ONCE = 1000


@dataclass(frozen=True)
class ImageFile:
    """A squashfs in a file: at which byte it begins, the file's size in bytes.

    ``arch`` is empty where the file does not say. ``config`` is what an image from a registry
    says of programs (``Env``, ``WorkingDir`` ...), if it does.
    """

    path: Path
    offset: int
    bytes: int
    arch: str = ""
    config: Mapping[str, object] = field(default_factory=dict)


def open_image(path: Path) -> ImageFile:
    """Look at an image file. Raises ``TykkyError`` for one that is damaged or of another kind."""
    try:
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            head = stream.read(128)
            if head[32:42] == _MAGIC:
                image = _sif(path, stream, head, size)
            elif head[:4] == b"hsqs":
                image = ImageFile(path, 0, size)
            else:
                raise _damaged(path, "is neither a SIF nor a squashfs image")
            _check_squashfs(image, stream)
            return image
    except OSError as error:
        raise unreadable(f"the image {path}", error) from error


def _damaged(path: Path, what: str) -> TykkyError:
    return TykkyError(
        f"the image {path} {what}",
        remedy="copy or pull it again, and compare its digest with that of the original",
        code=Exit.DAMAGED,
    )


def _sif(path: Path, stream: BinaryIO, head: bytes, size: int) -> ImageFile:
    total, start = struct.unpack_from("<q", head, 88)[0], struct.unpack_from("<q", head, 96)[0]
    if not 0 < total < 10_000 or not 0 < start < size:
        raise _damaged(path, "is damaged: its table of contents is not where it should be")
    stream.seek(start)
    table = stream.read(_DESCRIPTOR.size * total)
    if len(table) < _DESCRIPTOR.size * total:
        raise _damaged(path, "is truncated: its table of contents is cut off")
    found, config = None, {}
    for entry in _DESCRIPTOR.iter_unpack(table):
        kind, used, offset, length, name, extra = entry[0], entry[1], *entry[5:7], *entry[12:14]
        if not used:
            continue
        if offset < 0 or length < 0 or offset + length > size:
            raise _damaged(path, f"is truncated: it has {size} of at least {offset + length} bytes")
        if kind == _PARTITION:
            file_system, part = struct.unpack_from("<ii", extra)
            if part == _PRIMARY:
                arch = extra[8:11].rstrip(b"\0").decode(errors="replace")
                found = (file_system, offset, _ARCHITECTURES.get(arch, ""))
        elif kind == _JSON and name.rstrip(b"\0") == b"oci-config":
            stream.seek(offset)
            with contextlib.suppress(ValueError):  # then it says nothing
                config = settings_of(parse_json(stream.read(length)))
    if found is None:
        raise _damaged(path, "has no root file system in it")
    if found[0] != _SQUASHFS:
        what = "encrypted" if found[0] == _ENCRYPTED else "not squashfs"
        raise TykkyError(
            f"the file system in the image {path} is {what}, which cannot be mounted here",
            remedy="build the image again with a plain squashfs (the default of 'apptainer build')",
            code=Exit.BASE,
        )
    return ImageFile(path, found[1], size, found[2], config)


def settings_of(said: object) -> dict[str, object]:
    """Of the configuration of an image, what it says of programs (``Env``, ``WorkingDir`` ...)."""
    found = said.get("config") if isinstance(said, dict) else None
    return found if isinstance(found, dict) else {}


def _check_squashfs(image: ImageFile, stream: BinaryIO) -> None:
    stream.seek(image.offset)
    block = stream.read(96)
    if len(block) < 96 or block[:4] != b"hsqs" or struct.unpack_from("<H", block, 28)[0] != 4:
        raise _damaged(image.path, "is damaged: there is no squashfs where one should be")
    used = struct.unpack_from("<q", block, 40)[0]
    if image.offset + used > image.bytes:
        raise _damaged(
            image.path, f"is truncated: it has {image.bytes} of {image.offset + used} bytes"
        )


@dataclass(frozen=True)
class Listing:
    """What is in an image: every path from ``/`` on, with the first letter of its mode.

    ``links`` has the target of each symbolic link, ``programs`` the files that may be executed.
    """

    kinds: Mapping[str, str]
    links: Mapping[str, str]
    programs: frozenset[str]

    def resolve(self, path: str) -> str:
        """The path without symbolic links on the way; empty if it leads nowhere."""
        for _ in range(40):  # as many as the kernel follows
            parts = PurePosixPath(path).parts
            for count in range(2, len(parts) + 1):
                here = str(PurePosixPath(*parts[:count]))
                if here in self.links:
                    rest = parts[count:]
                    parent = PurePosixPath(here).parent
                    path = os.path.normpath(str(parent / self.links[here] / PurePosixPath(*rest)))
                    break
            else:
                return path if path in self.kinds or path == "/" else ""
        return ""

    def is_program(self, path: str) -> bool:
        """Whether a path leads to a file that may be executed."""
        return self.resolve(path) in self.programs

    def is_file(self, path: str) -> bool:
        """Whether a path leads to a file."""
        return self.kinds.get(self.resolve(path)) == "-"

    def inside(self, folder: str) -> list[str]:
        """The paths of all that is directly in a directory, by the name it is asked for."""
        real = self.resolve(folder)
        start = real.rstrip("/") + "/"
        return [
            f"{folder.rstrip('/')}/{path[len(start) :]}"
            for path in self.kinds
            if path.startswith(start) and "/" not in path[len(start) :]
        ]

    def glob(self, pattern: str) -> list[str]:
        """The paths that match a pattern whose parts may be globs, sorted."""
        found = ["/"]
        for part in PurePosixPath(pattern).parts[1:]:
            if re.search(r"[*?\[]", part):
                found = [
                    path
                    for folder in found
                    for path in self.inside(folder)
                    if fnmatchcase(PurePosixPath(path).name, part)
                ]
            else:
                joined = [f"{folder.rstrip('/')}/{part}" for folder in found]
                found = [path for path in joined if self.resolve(path)]
        return sorted(found)


_LINE = re.compile(r"([-dlbcps])(\S{9})\s+\S+\s+(?:\d+|\d+,\s*\d+)\s+\S+\s+\S+ (/.*|)")


def listing(image: ImageFile) -> Listing:
    """List an image. Raises ``TykkyError``."""
    kinds: dict[str, str] = {}
    links: dict[str, str] = {}
    programs: set[str] = set()
    output = _unsquashfs(image, "-lln", "-d", "")
    for line in output.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        kind, mode, path = match.groups()
        if kind == "l":
            path, _, links_to = path.partition(" -> ")
            links[path] = links_to
        kinds[path or "/"] = kind
        if kind == "-" and "x" in mode:
            programs.add(path)
    return Listing(kinds, links, frozenset(programs))


def unpack(image: ImageFile, folder: Path, *, leave_out: Sequence[str] = ()) -> None:
    """Unpack an image, but for some paths, into a folder that is there. Raises ``TykkyError``."""
    options = ["-no-progress", "-no-xattrs", "-force", "-d", str(folder)]
    options += ["-no-wildcards", "-excludes"] if leave_out else []
    _unsquashfs(image, *options, paths=leave_out)


def extract(image: ImageFile, paths: Sequence[str], folder: Path) -> None:
    """Unpack some files of an image, from ``/`` on, below a folder. Raises ``TykkyError``."""
    for start in range(0, len(paths), _AT_ONCE):
        some = [path.lstrip("/") for path in paths[start : start + _AT_ONCE]]
        _unsquashfs(image, "-no-progress", "-no-xattrs", "-force", "-d", str(folder), paths=some)


def _unsquashfs(
    image: ImageFile, *options: str, paths: Sequence[str] = (), strict: bool = True
) -> str:
    from tykky.tools.squash import program

    line = [program("unsquashfs"), "-o", str(image.offset), *options, str(image.path), *paths]
    done = subprocess.run(
        line, capture_output=True, text=True, errors="surrogateescape", check=False
    )
    if strict and done.returncode != 0:
        raise TykkyError(
            f"the contents of the image {image.path} cannot be read",
            remedy="copy or pull it again",
            code=Exit.DAMAGED,
            details=tuple(done.stderr.splitlines()[-3:]),
        )
    return done.stdout


@dataclass(frozen=True)
class ImageBase(Base):
    """An image or a directory that is the root of what runs in it.

    ``file`` is the image, or ``None`` for ``directory``. ``environment`` are the variables that
    the image brings with it, as far as it says so without being run.
    """

    file: ImageFile | None = None
    directory: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_root(self) -> bool:
        """It is one."""
        return True

    @property
    def path(self) -> str:
        """Where programs are looked for in the image."""
        return self.environment.get("PATH") or PATH

    @cached_property
    def listing(self) -> Listing:
        """Everything in the image. Raises ``TykkyError``."""
        if self.file is not None:
            return listing(self.file)
        assert self.directory is not None
        return _list_directory(self.directory)

    def programs(self, pattern: str, *, every: bool = False) -> list[str]:
        """The programs of the image that a pattern means."""
        there = self.listing
        return search(pattern, self.path, there.glob, there.is_file if every else there.is_program)

    @contextlib.contextmanager
    def files(self, *patterns: str) -> Iterator[dict[str, Path]]:
        """The files that patterns mean, by their paths in the image, and where each can be read.

        Raises ``TykkyError``.
        """
        paths = dict.fromkeys(path for pattern in patterns for path in self.listing.glob(pattern))
        real = {path: self.listing.resolve(path) for path in paths if self.listing.is_file(path)}
        with self.holding([*dict.fromkeys(real.values())]) as root:
            yield {path: root / to.lstrip("/") for path, to in real.items()}

    @contextlib.contextmanager
    def holding(self, paths: Sequence[str]) -> Iterator[Path]:
        """A folder with some files of the image where they are in it; perhaps all of it.

        The paths have no links on the way. Raises ``TykkyError``.
        """
        if self.directory is not None:
            yield self.directory
            return
        assert self.file is not None
        with tempfile.TemporaryDirectory(prefix="tykky-") as folder:
            extract(self.file, paths, Path(folder))
            yield Path(folder)

    def machine(self, program: str) -> str:
        """The architecture that a program of the image is for, as far as it says so.

        Of a script, that of this machine. Raises ``TykkyError``.
        """
        real = self.listing.resolve(program).lstrip("/")
        with tempfile.TemporaryDirectory(prefix="tykky-") as folder:
            root = self.directory or Path(folder, "root")
            if self.file is not None:
                _unsquashfs(self.file, "-no-progress", "-no-xattrs", "-d", str(root), paths=[real])
            try:
                with (root / real).open("rb") as stream:
                    head = stream.read(20)
            except OSError as error:
                raise unreadable(program, error) from error
        if head[:4] != b"\x7fELF" or len(head) < 20:
            return arch() if head[:2] == b"#!" else "no program"
        order = "<H" if head[5] == 1 else ">H"
        return _MACHINES.get(struct.unpack_from(order, head, 18)[0], "for another machine")


def image_base(name: str, digest: str, path: Path, settings: Mapping[str, object]) -> ImageBase:
    """The base in a file or directory; ``settings`` is what an image's configuration says.

    Raises ``TykkyError`` for a file that is damaged or of another kind.
    """
    if path.is_dir():
        return ImageBase(name, _identity(path), digest, None, path)
    file = open_image(path)
    with tempfile.TemporaryDirectory(prefix="tykky-") as folder:
        root = Path(folder, "root")
        wanted = ("etc/os-release", "usr/lib/os-release")
        # Which of the two is there is no matter, or whether any is.
        _unsquashfs(file, "-no-progress", "-no-xattrs", "-d", str(root), paths=wanted, strict=False)
        identity = _identity(root)
    return ImageBase(name, identity, digest, file, None, _environment(settings or file.config))


def _environment(settings: Mapping[str, object]) -> dict[str, str]:
    entries = settings.get("Env") or ()
    if not isinstance(entries, list | tuple):
        return {}
    pairs = (str(entry).partition("=") for entry in entries)
    return {name: value for name, equals, value in pairs if equals and name}


def _identity(root: Path) -> str:
    """The distribution below a root, as its ``os-release`` names it."""
    release: dict[str, str] = {}
    for path in (root / "etc/os-release", root / "usr/lib/os-release"):
        if path.is_file() and not path.is_symlink():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            pairs = (line.partition("=") for line in lines)
            release = {key: value.strip("\"'") for key, equals, value in pairs if equals}
    version = release.get("VERSION_ID", "")
    return f"{release.get('ID', 'image')}{'-' if version else ''}{version}"


def _list_directory(root: Path) -> Listing:
    kinds = {"/": "d"}
    links: dict[str, str] = {}
    programs: set[str] = set()
    try:
        for folder, folders, files in os.walk(root):
            for path in (Path(folder, name) for name in (*folders, *files)):
                seen, mode = f"/{path.relative_to(root)}", path.lstat().st_mode
                kinds[seen] = stat.filemode(mode)[0]
                if stat.S_ISLNK(mode):
                    links[seen] = str(path.readlink())
                elif stat.S_ISREG(mode) and mode & 0o111:
                    programs.add(seen)
    except OSError as error:
        raise from_os_error(error, f"list {root}") from error
    return Listing(kinds, links, frozenset(programs))
