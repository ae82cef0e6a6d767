"""Conda packages as files: what is in one, and the two formats, the same bytes each time."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Stands for the prefix in files; as long as conda-build's, so that any prefix fits in its place.
PLACEHOLDER = "/placeholder" + "_placehold" * 24 + "_p"
#: When all files were last changed, in seconds since 1970.
TIME = 1_600_000_000


@dataclass(frozen=True)
class File:
    """A file of a package: its bytes, or where a link leads; how it names the prefix."""

    data: bytes = b""
    mode: int = 0o644
    link: str = ""
    placeholder: str = ""  # "text" or "binary" if PLACEHOLDER is in it


@dataclass(frozen=True)
class Package:
    """A package and what its ``info`` says; ``entry_points`` are for ``noarch`` Python only."""

    name: str
    version: str
    files: dict[str, File]
    depends: tuple[str, ...] = ()
    build: str = "0"
    noarch: str = ""
    license: str = "MIT"
    entry_points: tuple[str, ...] = ()
    compact: bool = True  # .conda; otherwise .tar.bz2
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def subdir(self) -> str:
        return "noarch" if self.noarch else "linux-64"

    @property
    def file_name(self) -> str:
        ending = "conda" if self.compact else "tar.bz2"
        return f"{self.name}-{self.version}-{self.build}.{ending}"


def write(package: Package, channel: Path) -> Path:
    """Write a package into its folder of a channel."""
    folder = channel / package.subdir
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / package.file_name
    info = {f"info/{name}": File(data) for name, data in _info(package).items()}
    if not package.compact:
        with tarfile.open(path, "w:bz2", compresslevel=1) as archive:
            _add(archive, {**info, **package.files})
        return path
    stem = path.name.removesuffix(".conda")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        _member(archive, "metadata.json", b'{"conda_pkg_format_version": 2}')
        _member(archive, f"pkg-{stem}.tar.zst", _zstd(_tar(package.files)))
        _member(archive, f"info-{stem}.tar.zst", _zstd(_tar(info)))
    return path


def _info(package: Package) -> dict[str, bytes]:
    index: dict[str, Any] = {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "build_number": 0,
        "depends": list(package.depends),
        "license": package.license,
        "subdir": package.subdir,
        "timestamp": TIME * 1000,
        **package.more,
    }
    if package.noarch:
        index["noarch"] = package.noarch
    else:
        index |= {"arch": "x86_64", "platform": "linux"}
    paths = [_path(name, file) for name, file in sorted(package.files.items())]
    found = {
        "index.json": index,
        "about.json": {"license": package.license},
        "paths.json": {"paths": paths, "paths_version": 1},
    }
    if package.noarch:
        noarch: dict[str, Any] = {"type": package.noarch}
        if package.noarch == "python":
            noarch["entry_points"] = list(package.entry_points)
        found["link.json"] = {"noarch": noarch, "package_metadata_version": 1}
    return {name: json.dumps(value, indent=1).encode() for name, value in found.items()}


def _path(name: str, file: File) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "_path": name,
        "path_type": "softlink" if file.link else "hardlink",
        "sha256": hashlib.sha256(file.data).hexdigest(),
        "size_in_bytes": len(file.data),
    }
    if file.placeholder:
        entry |= {"prefix_placeholder": PLACEHOLDER, "file_mode": file.placeholder}
    return entry


def _tar(members: dict[str, File]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        _add(archive, members)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, members: dict[str, File]) -> None:
    for name, file in sorted(members.items()):
        entry = tarfile.TarInfo(name)
        entry.mtime = TIME
        entry.mode = stat.S_IMODE(file.mode)
        if file.link:
            entry.type, entry.linkname = tarfile.SYMTYPE, file.link
            archive.addfile(entry)
        else:
            entry.size = len(file.data)
            archive.addfile(entry, io.BytesIO(file.data))


def _member(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)


def _zstd(data: bytes) -> bytes:
    """A frame of zstd that stores the data as it is: needs no library, and is quick to read."""
    single_segment, size_of_8_bytes = 0x20, 0xC0
    frame = bytearray(b"\x28\xb5\x2f\xfd")
    frame.append(single_segment | size_of_8_bytes)
    frame += len(data).to_bytes(8, "little")
    block = 1 << 17
    for start in range(0, max(len(data), 1), block):
        part = data[start : start + block]
        last = start + block >= len(data)
        frame += (last | len(part) << 3).to_bytes(3, "little")
        frame += part
    return bytes(frame)
