"""The images of an install as one tree, in which changes go to a folder: for who makes a layer.

Only for a process that may mount, see :mod:`tykky.tools.apart`. The images are served by
``squashfuse_ll``, and the kernel's overlay lays them over each other, as the launcher does it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tykky.errors import Exit, ToolError, TykkyError
from tykky.tools.apart import kernel

_MS_RDONLY, _MS_NOSUID, _MS_NODEV = 1, 2, 4
_FUSE = "/dev/fuse"
_PR_SET_PDEATHSIG = 1

#: Where the launcher looks for an image server before PATH.
SERVER_PLACES = (
    "/usr/bin",
    "/usr/local/bin",
    "/usr/libexec/apptainer/bin",
    "/usr/local/libexec/apptainer/bin",
    "/usr/lib/x86_64-linux-gnu/apptainer/bin",
    "/usr/lib/aarch64-linux-gnu/apptainer/bin",
)
_SERVER = "squashfuse_ll"


class NoLayers(TykkyError):
    """This machine, or a folder on it, cannot lay one tree over another; the cause says why."""

    code = Exit.NODE


def find_server(configured: str) -> str:
    """The program that serves images: the one that is configured, or else wherever it is.

    Raises ``ToolError``.
    """
    places = os.pathsep.join(SERVER_PLACES)
    found = configured or shutil.which(_SERVER, path=places) or shutil.which(_SERVER)
    if not found:
        remedy = "ask the administrator to install the package squashfuse (or apptainer, with one)"
        raise ToolError(f"{_SERVER} is nowhere on this machine", remedy=remedy)
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
        names = ":".join(map(str, lower))  # ours, with nothing in them that would end one
        if len(lower) == 1:
            below = lower[0]
        else:
            _overlay(below, f"lowerdir={names}", _MS_RDONLY)
        shutil.copymode(below, upper)
        _overlay(top, f"lowerdir={names},upperdir={upper},workdir={folder / 'work'}", 0)
    except OSError as error:
        raise NoLayers(
            f"nothing can be laid over an image here ({error.filename}: {error.strerror})",
            remedy="'tykky doctor' tells more; all is built whole instead with --full",
        ) from error
    return Tree(top, upper, below)


def _overlay(target: Path, options: str, flags: int) -> None:
    words = (b"overlay", os.fsencode(target), b"overlay", flags | _MS_NOSUID | _MS_NODEV)
    kernel("mount", *words, os.fsencode(f"{options},userxattr"))


def _serve(image: Path, target: Path, server: str) -> Path:
    """Have an image at a folder that is made, for as long as this process lives."""
    target.mkdir()
    device = os.open(_FUSE, os.O_RDWR | os.O_CLOEXEC)
    owner = f"user_id={os.geteuid()},group_id={os.getegid()}"
    options = f"fd={device},rootmode=40000,{owner},default_permissions,allow_other"
    flags = _MS_RDONLY | _MS_NOSUID | _MS_NODEV
    kernel("mount", b"tykky", os.fsencode(target), b"fuse.tykky", flags, options.encode())
    subprocess.Popen(
        [find_server(server), "-f", str(image), f"/dev/fd/{device}"],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        pass_fds=(device,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=_end_with_parent,
        start_new_session=True,  # an interrupt of the terminal is not for it
    )
    os.close(device)
    target.stat()  # which waits until it answers
    return target


def _end_with_parent() -> None:
    kernel("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
