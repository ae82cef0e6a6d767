"""The images of an install as one tree, in which changes go to a folder: for who makes a layer.

Only for a process that may mount, see :mod:`tykky.tools.apart`. The images are served by
``squashfuse_ll``, and the kernel's overlay lays them over each other, as the launcher does it.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tykky.errors import Exit, ToolError, TykkyError
from tykky.tools.apart import apart, end_with_parent, kernel

_MS_RDONLY, _MS_NOSUID, _MS_NODEV = 1, 2, 4
_FUSE = "/dev/fuse"

#: Where the launcher looks for an image server before PATH.
SERVER_PLACES = (
    "/usr/bin",
    "/usr/local/bin",
    "/usr/libexec/apptainer/bin",
    "/usr/local/libexec/apptainer/bin",
    "/usr/lib/x86_64-linux-gnu/apptainer/bin",
    "/usr/lib/aarch64-linux-gnu/apptainer/bin",
)
SERVER = "squashfuse_ll"


class NoLayers(TykkyError):
    """This machine, or a folder on it, cannot lay one tree over another; the cause says why."""

    code = Exit.NODE


def find_server(configured: str) -> str:
    """The program that serves images: the one that is configured, or else wherever it is.

    Raises ``ToolError``.
    """
    places = os.pathsep.join(SERVER_PLACES)
    found = configured or shutil.which(SERVER, path=places) or shutil.which(SERVER)
    if not found:
        remedy = "ask the administrator to install the package squashfuse (or apptainer, with one)"
        raise ToolError(f"{SERVER} is nowhere on this machine", remedy=remedy)
    return found


@dataclass(frozen=True)
class Tree:
    """A tree of images that can be changed, at ``top``.

    ``upper`` has the changes, as the overlay writes them; ``below`` has all as it was.
    """

    top: Path
    upper: Path
    below: Path


def join(images: Sequence[Path], folder: Path, top: Path, server: str = "") -> Tree:
    """Have the tree of images, the lowest first, at ``top``.

    ``folder`` is empty, and on a disk. Raises ``NoLayers`` where that cannot be had.
    """
    upper, below = folder / "upper", folder / "below"
    for path in (upper, below, folder / "work", top):
        path.mkdir(exist_ok=True)
    try:
        lower = [_serve(image, folder / f"image-{n}", server) for n, image in enumerate(images)]
        lower.reverse()
        if len(lower) == 1:
            below = lower[0]
        else:
            _overlay(below, lower)
        shutil.copymode(below, upper)
        _overlay(top, lower, upper, folder / "work")
    except OSError as error:
        raise NoLayers(
            f"nothing can be laid over an image here ({error.filename}: {error.strerror})",
            remedy="'tykky doctor' tells more; all is built whole instead with --full",
        ) from error
    return Tree(top, upper, below)


def _overlay(target: Path, lower: Sequence[Path], *writable: Path) -> None:
    """Lay directories over each other, the highest first; ``writable`` is upper and work."""
    options = f"lowerdir={':'.join(map(_opened, lower))},userxattr"
    if writable:
        options += ",upperdir={},workdir={}".format(*map(_opened, writable))
    flags = _MS_NOSUID | _MS_NODEV | (0 if writable else _MS_RDONLY)
    kernel("mount", b"overlay", os.fsencode(target), b"overlay", flags, options.encode())


def _opened(folder: Path) -> str:
    """A name for it, for as long as this process lives, that is short and has no odd characters."""
    return f"/proc/self/fd/{os.open(folder, os.O_PATH | os.O_CLOEXEC)}"


@functools.cache
def layers_work(folder: Path) -> str:
    """Why no layer can be made in a directory of that folder; empty if it can.

    What a build asks of the kernel is really tried, in milliseconds and without an image.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="tykky-layers-", dir=folder) as name:
            apart(lambda: _trial(Path(name)), _change)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return ""


def _trial(folder: Path) -> Path:
    lower, upper, work, top = (folder / name for name in ("lower", "upper", "work", "top"))
    for path in (lower / "old", upper, work, top, folder / "image"):
        path.mkdir(parents=True)
    os.close(_mount_device(folder / "image"))
    _overlay(top, [lower], upper, work)
    return top


def _change(top: Path) -> None:
    """What needs whiteouts, and marks of directories that hide others."""
    (top / "old").rmdir()
    (top / "old").mkdir()
    (top / "old").rmdir()
    (top / "new").write_bytes(b"")


def _mount_device(target: Path) -> int:
    """Have nothing at a folder yet but what comes to serve the device that this returns."""
    device = os.open(_FUSE, os.O_RDWR | os.O_CLOEXEC)
    owner = f"user_id={os.geteuid()},group_id={os.getegid()}"
    options = f"fd={device},rootmode=40000,{owner},default_permissions,allow_other"
    flags = _MS_RDONLY | _MS_NOSUID | _MS_NODEV
    kernel("mount", b"tykky", os.fsencode(target), b"fuse.tykky", flags, options.encode())
    return device


def _serve(image: Path, target: Path, server: str) -> Path:
    """Have an image at a folder that is made, for as long as this process lives."""
    target.mkdir()
    device = _mount_device(target)
    subprocess.Popen(
        [find_server(server), "-f", str(image), f"/dev/fd/{device}"],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        pass_fds=(device,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=end_with_parent,
        start_new_session=True,  # an interrupt of the terminal is not for it
    )
    os.close(device)
    target.stat()  # which waits until it answers
    return target
