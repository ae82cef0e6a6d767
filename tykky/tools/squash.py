"""From a finished tree to one squashfs image: the same tree gives the same bytes."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import OF_DISKS, Exit, StepError, ToolError, from_os_error
from tykky.files import digest_file, sync, walk
from tykky.tools.layers import is_whiteout

if TYPE_CHECKING:
    from tykky.config import Config

#: How many digits of the image's digest are in its name.
DIGITS = 16


@dataclass(frozen=True)
class Image:
    """A squashfs image: its file name, its sha256 in hex, its size in bytes."""

    file: str
    sha256: str
    bytes: int


def program(name: str = "mksquashfs") -> str:
    """A program of squashfs-tools on this machine. Raises ``ToolError``."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise ToolError(
            f"{name} is not installed on this machine",
            remedy="install the package squashfs-tools, or work on a node that has it",
        )
    return found


def options(config: Config, more: Sequence[str] = ()) -> list[str]:
    """The options of mksquashfs by which the same tree gives the same bytes; ``more`` come last."""
    wanted = config.squash
    line = ["-noappend", "-no-progress", "-quiet", "-b", wanted.block_size]
    line.append("-exit-on-error")  # else what cannot be read is there, with nothing in it
    if "-comp" not in more:
        line += ["-comp", wanted.compression]
        if wanted.compression in ("zstd", "gzip"):
            line += ["-Xcompression-level", str(wanted.level)]
    line += ["-all-root", "-no-xattrs", "-all-time", "0", "-mkfs-time", "0"]
    return [*line, "-processors", str(config.jobs), *more]


def settle(tree: Path) -> None:
    """Make a tree readable by everybody and writable by nobody else; refuse odd files.

    An image has no business with devices, sockets or setuid programs: the first two raise
    ``StepError``, the third loses its bit. Whiteouts of a layer stay.
    """
    _settle(tree)
    for entry in walk(tree):  # which reads a folder only after it was made readable here
        _settle(Path(entry.path))


def _settle(path: Path) -> None:
    mode = (status := path.lstat()).st_mode
    if stat.S_ISLNK(mode) or is_whiteout(status):
        return
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise StepError(
            f"the build made a file that cannot go into an image: {path} "
            f"({stat.filemode(mode)[0]})",
            remedy="remove it in the recipe's finish step",
            code=Exit.SQUASH,
        )
    wanted = stat.S_IMODE(mode) & ~0o7022 | 0o444
    if stat.S_ISDIR(mode):
        wanted |= 0o311  # its owner still has to delete what is in it
    elif mode & 0o111:
        wanted |= 0o111
    if wanted != stat.S_IMODE(mode):
        path.chmod(wanted)


def squash(
    tree: Path,
    folder: Path,
    config: Config,
    run: Callable[[list[str]], str],
    more: Sequence[str] = (),
) -> Image:
    """Squash a settled ``tree`` into ``folder`` and name the image after its digest.

    ``run`` runs a command, logs it, and raises ``StepError`` when it fails. Times, owners and
    extended attributes do not go into the image. ``more`` are as in :func:`options`.
    """
    # Where locks do not work, another build may write here at the same time.
    target = folder / f"image-{secrets.token_hex(4)}.new"
    try:
        run([program(), str(tree), str(target), *options(config, more)])
        digest = digest_file(target)
        sync(target)
        image = Image(f"{digest[:DIGITS]}.sqfs", digest, target.stat().st_size)
        kept = folder / image.file
        # The same image again stays the same file, which may be mounted; unless it is damaged.
        if kept.is_symlink() or not (kept.exists() and digest_file(kept) == digest):
            target.replace(kept)
    except OSError as error:
        raise from_os_error(error, "write the image") from error
    except StepError as error:
        if any(os.strerror(n) in line for n in OF_DISKS for line in error.details):
            error.code = Exit.NOT_WRITABLE if error.code == StepError.code else error.code
        raise
    finally:
        target.unlink(missing_ok=True)
    return image
