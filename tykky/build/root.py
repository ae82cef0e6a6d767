"""Builds inside a root of their own: the box, started with that as its root.

The launcher does it, as it enters finished stacks: a directory in scratch is laid out like a
place whose one command is the box.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bases import Base, ImageBase, StackBase
from tykky.build.commands import lay_commands, lay_launch
from tykky.files import Permissions, make_folder
from tykky.runtime import native
from tykky.runtime.base import (
    IMAGES,
    Bind,
    Command,
    EnvAction,
    EnvChange,
    ImageMount,
    LaunchPlan,
    Mount,
    Need,
    Root,
)
from tykky.store.place import HIDDEN, Place, switch

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.tools.scratch import Scratch

#: What a build needs to reach the network by name.
_NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf")
#: Who users are.
_USERS = ("/etc/passwd", "/etc/group")
_CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def box_inside(base: Base, scratch: Scratch, config: Config, seen: Sequence[Path]) -> Path:
    """The command that is the box in a base, where ``seen`` is visible at its own place."""
    prefix = scratch.path / "enter"
    if (prefix / "bin/box").exists():
        return prefix / "bin/box"
    places = [scratch.path, config.cache_dir, *seen, *_tools()]
    mounts: list[Mount] = [_root(base), *_visible(places, _NETWORK)]
    if isinstance(base, StackBase):
        mounts.append(Need(base.prefix, str(base.generation)))
    return _laid(f"the build in {base.name}", prefix, mounts, config, closed=True)


def box_around(
    base: Base, scratch: Scratch, config: Config, seen: Iterable[Path], at: Path
) -> Path:
    """The command that is the box in the host's root or an image, with the contents ``at`` a path.

    What is in an image besides them are the places ``seen``.
    """
    # Another name for each call: what is mounted for the one before may be there for a moment.
    prefix = Path(tempfile.mkdtemp(prefix="enter-", dir=scratch.path))
    isolated = isinstance(base, ImageBase)
    places = [scratch.path, *seen, *_tools()] if isolated else []
    binds = _visible(places, (*_USERS, *_NETWORK) if isolated else ())
    mounts: list[Mount] = [_root(base), *binds, Bind(str(scratch.top), str(at))]
    return _laid("the build", prefix, mounts, config, closed=isolated)


def view(images: Path, mounts: Sequence[ImageMount], scratch: Scratch, config: Config) -> Path:
    """The command ``env`` of the host, which sees what is in images that lie in a folder."""
    prefix = Path(tempfile.mkdtemp(prefix="view-", dir=scratch.path))
    (prefix / HIDDEN).mkdir()
    (prefix / HIDDEN / IMAGES).symlink_to(images)
    program = Path(shutil.which("env") or "/usr/bin/env")
    every: list[Mount] = [Root(Path("/")), *mounts]
    return _laid("the contents of an install", prefix, every, config, closed=False, program=program)


def _laid(
    name: str,
    prefix: Path,
    mounts: Sequence[Mount],
    config: Config,
    *,
    closed: bool,
    program: Path | None = None,
) -> Path:
    """Lay out a place in scratch, whose one command is the box or a program; the path of that."""
    plan = LaunchPlan(
        name=name,
        prefix=prefix,
        mounts=tuple(mounts),
        commands=(Command("box", program or native.program("box")),),
        environment=(EnvChange(EnvAction.UNSET, "LD_LIBRARY_PATH"),) if closed else (),
        servers=(Path(config.server),) if config.server else (),
        idle=1,
    )
    here, number, permissions = Place(prefix), int(plan.generation), Permissions()
    make_folder(here.generation(number), permissions)
    lay_launch(plan, here.generation(number), permissions)
    switch(here, number)
    lay_commands(here, ("box",), prefix / "bin", permissions)
    return prefix / "bin/box"


def _visible(places: Iterable[Path], files: Sequence[str]) -> Iterator[Bind]:
    """Binds of the places that are there, and of files, with those that certificates are in."""
    for path in dict.fromkeys(places):
        if path.exists():
            yield Bind(str(path), str(path))
    named = [os.environ[name] for name in _CERTIFICATES if files and name in os.environ]
    for file in dict.fromkeys((*files, *named)):
        yield Bind(file, file, optional=True)


def _root(base: Base) -> Root:
    base = base.below if isinstance(base, StackBase) else base
    if not isinstance(base, ImageBase):
        return Root(Path("/"))
    if base.file is not None:
        return Root(base.file.path, base.file.offset, base.file.bytes)
    assert base.directory is not None
    return Root(base.directory)


def _tools() -> Iterator[Path]:
    """Where programs are that Tykky runs in a box: its own, and uv's."""
    from tykky.errors import ToolError
    from tykky.tools import uv

    yield Path(sys.prefix)
    yield Path(__file__).parent.parent
    yield native.program("box").parent
    with contextlib.suppress(ToolError):
        yield Path(uv.program()).parent
