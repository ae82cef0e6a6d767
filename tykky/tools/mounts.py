"""Mounts of images that all programs of a user see, on this machine, until they are taken away.

Outside of namespaces only the set-user-id program ``fusermount3`` may mount, and only where its
user may write. What has layers needs ``fuse-overlayfs``, since the kernel's own overlay is for
root. Where these are not, there is still a namespace: then one command only sees what is mounted.

Each mount is noted in a file, in a folder of the user's on this machine, until it is gone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tykky.errors import Exit, ToolError, TykkyError, explained
from tykky.tools import overlay
from tykky.tools.apart import apart, kernel

_MS_BIND = 4096
_SAFE = "ro,nosuid,nodev"


@dataclass(frozen=True)
class Layer:
    """A file with a squashfs that begins at a byte of it."""

    file: str
    offset: int = 0


@dataclass(frozen=True)
class Mount:
    """A mount at ``target``; ``parts`` are those that it stands on, ``what`` says whose it is."""

    target: str
    what: str
    parts: tuple[str, ...] = ()


class Invisible(ToolError):
    """A mount that others see cannot be had on this machine; the cause says why."""


def folder() -> Path:
    """The user's own folder on this machine. Raises ``TykkyError`` if somebody else has it."""
    top = tempfile.gettempdir()
    top = "/tmp" if re.search(r"[:,\\]", top) else top  # which would end a word of options
    path = Path(top, f"tykky-mounts-{os.geteuid()}")
    with explained(f"use {path}"):
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o77:
        cause = f"{path} is no folder of yours alone"
        raise TykkyError(cause, remedy="remove it, or set TMPDIR", code=Exit.NOT_WRITABLE)
    return path


def present() -> Iterator[Mount]:
    """The mounts that are there; what is noted of others is forgotten."""
    there = _mounted()
    for path in sorted(folder().glob("*.json")):
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            found = Mount(facts["target"], facts["what"], tuple(facts["parts"]))
        except (OSError, ValueError, LookupError, TypeError):
            path.unlink(missing_ok=True)
            continue
        if found.target in there:
            yield found
        else:
            _forget(found)


def mount(images: Sequence[Layer], target: Path, what: str, server: str) -> Mount:
    """Mount images, the lowest first, for all programs of the user.

    Raises ``Invisible`` where that cannot be had, other ``TykkyError`` if it fails.
    """
    program = overlay.find_server(server)
    _fusermount()
    joiner = shutil.which("fuse-overlayfs")
    if len(images) > 1 and not joiner:
        many = f"its {len(images)} layers cannot be shown to other programs as one tree"
        raise Invisible(f"{many}: fuse-overlayfs is not on this machine")
    _make_ready(target)
    parts: list[str] = []
    try:
        if len(images) == 1:
            _serve(program, images[0], target)
        else:
            for image in images:
                parts.append(tempfile.mkdtemp(prefix="layer-", dir=folder()))
                _serve(program, image, Path(parts[-1]))
            lower = ":".join(reversed(parts))  # ours, with nothing in them that would end one
            _run([str(joiner), "-o", f"{_SAFE},lowerdir={lower}", str(target)], target)
        made = Mount(str(target), what, tuple(parts))
        text = json.dumps(asdict(made)) + "\n"
        _note(made).write_text(text, encoding="utf-8")
    except BaseException:
        _take(Mount(str(target), what, tuple(parts)))
        raise
    return made


def unmount(mount: Mount) -> None:
    """Take a mount away. Raises ``TykkyError`` if somebody is using it."""
    done = subprocess.run(
        [_fusermount(), "-u", mount.target], capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and mount.target in _mounted():
        cause = f"{mount.target} cannot be unmounted: {done.stderr.strip()}"
        remedy = "end what uses it, or leave that folder: 'fuser -vm' tells what does"
        raise TykkyError(cause, remedy=remedy, code=Exit.CONFLICT)
    _take(mount)


def during(images: Sequence[Layer], target: Path, server: str, action: Callable[[], int]) -> int:
    """What an action returns that is done where the images are at ``target``, for it alone.

    Raises ``TykkyError`` where there are no namespaces.
    """
    _make_ready(target)
    with tempfile.TemporaryDirectory(dir=folder()) as made:

        def mounting() -> None:
            if any(image.offset for image in images):
                raise overlay.NoLayers("an image within a file cannot be mounted here")
            top = Path(made, "top")
            tree = overlay.join([Path(image.file) for image in images], Path(made), top, server)
            words = (os.fsencode(tree.below), os.fsencode(target), None, _MS_BIND, None)
            kernel("mount", *words)

        try:
            return apart(mounting, lambda _: action())
        finally:
            _forget(Mount(str(target), ""))


def _make_ready(target: Path) -> None:
    """Make the folder for a mount. Raises ``TykkyError`` if it is of no use."""
    with explained(f"mount something at {target}"):
        target.mkdir(parents=True, exist_ok=True)
        empty = not any(target.iterdir())
    if str(target) in _mounted() or not empty:
        what = "is not empty" if str(target) not in _mounted() else "has a mount already"
        remedy = "name an empty folder, or one that is not there"
        raise TykkyError(f"{target} {what}", remedy=remedy, code=Exit.CONFLICT)


def _serve(program: str, image: Layer, target: Path) -> None:
    options = f"{_SAFE},offset={image.offset}" if image.offset else _SAFE
    _run([program, "-o", options, image.file, str(target)], target)


def _run(words: Sequence[str], target: Path) -> None:
    """Start what serves a mount, which goes on in the background. Raises ``Invisible``."""
    # Its output is no pipe of ours: it would stay open for as long as it serves.
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd="/", check=False
        )
        said.seek(0)
        told = said.read().decode(errors="replace").strip().splitlines()
    if done.returncode != 0 or str(target) not in _mounted():
        why = told[-1] if told else f"{words[0]} ended with {done.returncode}"
        raise Invisible(f"nothing can be mounted at {target}: {why}")


def _fusermount() -> str:
    found = shutil.which("fusermount3") or shutil.which("fusermount")
    if found:
        return found
    raise Invisible("no mount can be shown to other programs: fusermount3 is not on this machine")


def _mounted() -> set[str]:
    lines = Path("/proc/self/mountinfo").read_bytes().split(b"\n")
    words = (line.split(b" ")[4] for line in lines if line)
    escaped = re.compile(rb"\\([0-7]{3})")
    return {os.fsdecode(escaped.sub(lambda o: bytes([int(o[1], 8)]), word)) for word in words}


def _note(mount: Mount) -> Path:
    return folder() / f"{hashlib.sha256(mount.target.encode()).hexdigest()[:16]}.json"


def _take(mount: Mount) -> None:
    """Take away what a mount stands on, and what is noted of it."""
    for path in (mount.target, *mount.parts):
        for attempt in range(50):  # what stands on it takes a moment to end
            if path not in _mounted():
                break
            how = "-uz" if attempt == 49 else "-u"
            subprocess.run([_fusermount(), how, path], capture_output=True, check=False)
            time.sleep(0.1 if path in _mounted() else 0)
    _forget(mount)


def _forget(mount: Mount) -> None:
    for path in (mount.target, *mount.parts):
        try:
            Path(path).rmdir()  # what is not empty, or not ours, stays
        except OSError:
            continue
    _note(mount).unlink(missing_ok=True)
