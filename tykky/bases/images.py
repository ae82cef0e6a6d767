"""Bases that are images: a file of the site's, one that was pulled, or a root directory.

Public names: ``ImageBase``, ``image_base``.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from tykky.bases import image as images
from tykky.bases.base import Base
from tykky.bases.image import ImageFile, Listing
from tykky.errors import from_os_error
from tykky.tools.enclosure import PATH


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
    def path(self) -> str:
        """Where programs are looked for in the image."""
        return self.environment.get("PATH") or PATH

    @cached_property
    def listing(self) -> Listing:
        """Everything in the image. Raises ``TykkyError``."""
        if self.file is not None:
            return images.listing(self.file)
        assert self.directory is not None
        return _list_directory(self.directory)

    def which(self, program: str) -> Path | None:
        """The path of a program in the image, or ``None``."""
        if "/" in program:
            return Path(program) if self.listing.is_program(program) else None
        paths = (f"{folder.rstrip('/')}/{program}" for folder in self.path.split(":"))
        return next((Path(path) for path in paths if self.listing.is_program(path)), None)

    def pythons(self) -> dict[str, Path]:
        """Every Python of the image, by its ``major.minor``."""
        found = (Path(path) for path in self.programs("python3.*"))
        wanted = {p.name: p for p in found if re.fullmatch(r"python3\.\d+", p.name)}
        return {name.removeprefix("python"): path for name, path in wanted.items()}

    def programs(self, pattern: str, *, every: bool = False) -> list[str]:
        """The programs of the image that a pattern means."""
        there = self.listing
        if "/" in pattern:
            paths = there.glob(pattern.rstrip("/"))
            paths += [path for folder in paths for path in there.inside(folder)]
            if every:
                return sorted(p for p in paths if there.kinds.get(there.resolve(p)) == "-")
            return sorted(path for path in paths if there.is_program(path))
        found: dict[str, str] = {}
        for folder in self.path.split(":"):
            for path in there.glob(f"{folder.rstrip('/')}/{pattern}"):
                if there.is_program(path):
                    found.setdefault(PurePosixPath(path).name, path)
        return sorted(found.values())


def image_base(name: str, digest: str, path: Path, settings: Mapping[str, object]) -> ImageBase:
    """The base in a file or directory; ``settings`` is what an image's configuration says.

    Raises ``TykkyError`` for a file that is damaged or of another kind.
    """
    if path.is_dir():
        release = _read_release(path)
        return ImageBase(name, _identity(release), digest, None, path)
    file = images.open_image(path)
    inner = file.config.get("config")
    return ImageBase(
        name,
        _identity(_release(file)),
        digest,
        file,
        None,
        _environment(settings or (inner if isinstance(inner, dict) else {})),
    )


def _environment(settings: Mapping[str, object]) -> dict[str, str]:
    entries = settings.get("Env") or ()
    if not isinstance(entries, list | tuple):
        return {}
    pairs = (str(entry).partition("=") for entry in entries)
    return {name: value for name, equals, value in pairs if equals and name}


def _release(file: ImageFile) -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="tykky-") as folder:
        images.extract(file, ["/etc/os-release", "/usr/lib/os-release"], Path(folder, "root"))
        return _read_release(Path(folder, "root"))


def _read_release(root: Path) -> dict[str, str]:
    for name in ("usr/lib/os-release", "etc/os-release"):
        path = root / name
        if path.is_file() and not path.is_symlink():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            pairs = (line.partition("=") for line in lines)
            return {key: value.strip("\"'") for key, equals, value in pairs if equals}
    return {}


def _identity(release: Mapping[str, str]) -> str:
    version = release.get("VERSION_ID", "")
    return f"{release.get('ID', 'image')}{'-' if version else ''}{version}"


def _list_directory(root: Path) -> Listing:
    kinds: dict[str, str] = {"/": "d"}
    links: dict[str, str] = {}
    programs: set[str] = set()
    try:
        for folder, folders, files in os.walk(root):
            for name in (*folders, *files):
                path = Path(folder, name)
                seen = f"/{path.relative_to(root)}"
                if path.is_symlink():
                    kinds[seen] = "l"
                    links[seen] = str(path.readlink())
                elif path.is_dir():
                    kinds[seen] = "d"
                else:
                    kinds[seen] = "-"
                    if path.is_file() and path.stat().st_mode & 0o111:
                        programs.add(seen)
    except OSError as error:
        raise from_os_error(error, f"list {root}") from error
    return Listing(kinds, links, frozenset(programs))
