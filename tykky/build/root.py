"""Builds inside an image: the box, started with the image as its root.

The launcher does it, as it enters finished stacks: a directory in scratch is laid out like an
install whose one command is the box.

Public name: ``box_inside``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bases import Base, ImageBase, StackBase
from tykky.build import commands
from tykky.files import Permissions, make_folder
from tykky.runtime.base import Bind, Command, EnvAction, EnvChange, LaunchPlan, Root
from tykky.runtime.native import box_program
from tykky.store import HIDDEN

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.tools.scratch import Scratch

#: What a build needs to reach the network by name.
_NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf")
_CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def box_inside(base: Base, scratch: Scratch, config: Config, seen: Sequence[Path]) -> Path:
    """The command that is the box in a base, where ``seen`` is visible at its own place."""
    prefix = scratch.path / "enter"
    command = prefix / "bin/box"
    below = base.below if isinstance(base, StackBase) else base
    places = [scratch.path, config.cache_dir, *seen, *_tools()]
    binds = [Bind(str(path), str(path)) for path in dict.fromkeys(places) if path.exists()]
    files = [*_NETWORK, *(os.environ[name] for name in _CERTIFICATES if name in os.environ)]
    binds += [Bind(path, path, optional=True) for path in dict.fromkeys(files)]
    plan = LaunchPlan(
        name=f"the build in {base.name}",
        prefix=prefix,
        root=_root(below),
        needs=(base.prefix,) if isinstance(base, StackBase) else (),
        binds=tuple(binds),
        commands=(Command("box", box_program()),),
        environment=(EnvChange(EnvAction.UNSET, "LD_LIBRARY_PATH"),),
        servers=(Path(config.server),) if config.server else (),
        idle=1,
    )
    if not command.exists():
        make_folder(prefix / HIDDEN, Permissions())
        commands.make(plan, ("box",), Permissions())
    return command


def _root(base: Base) -> Root:
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
    yield box_program().parent
    try:
        yield Path(uv.program()).parent
    except ToolError:
        return
