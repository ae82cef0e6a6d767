"""Where the steps of a classic install run: a root in which its path inside exists.

Public names: ``Room``, ``room_of``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bases import ImageBase
from tykky.build import commands
from tykky.files import Permissions, make_folder
from tykky.runtime.base import Bind, Command, EnvAction, EnvChange, LaunchPlan, Root
from tykky.runtime.native import box_program
from tykky.store import HIDDEN

if TYPE_CHECKING:
    from tykky.bases import Base
    from tykky.config import Config

#: Of the host in an image, whatever else is: who users are and how names are found.
_NAMES = ("/etc/passwd", "/etc/group", "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf")


@dataclass(frozen=True)
class Room:
    """A place to run commands in; ``program`` is the box there, ``cwd`` where they start."""

    program: Path
    cwd: Path
    #: The environment that an image brings with it.
    variables: dict[str, str] = field(default_factory=dict)

    def enclose(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` there; it ends with who started it."""
        return [str(self.program), "--", *argv]


def room_of(
    folder: Path,
    shown: Path,
    at: Path,
    base: Base,
    config: Config,
    *,
    cwd: Path,
    seen: Iterable[Path] = (),
) -> Room:
    """A room in which the folder ``shown`` is at the path ``at``, of the host or an image.

    ``folder`` is an empty one for what it needs; what is in an image besides it are the places
    ``seen``. Nothing has to be unmounted: that ends with the last command.
    """
    # Another name for each call: the room of the one before may still be there for a moment.
    own = Path(tempfile.mkdtemp(prefix="enter-", dir=folder))
    isolated = isinstance(base, ImageBase)
    places = [folder, shown, *seen, *_tools()] if isolated else []
    binds = [Bind(str(p), str(p)) for p in dict.fromkeys(places) if p.exists()]
    if isolated:
        names = [*_NAMES, *(os.environ[n] for n in ("SSL_CERT_FILE",) if n in os.environ)]
        binds += [Bind(name, name, optional=True) for name in names]
    plan = LaunchPlan(
        name="the build",
        prefix=own,
        root=_root(base),
        binds=(*binds, Bind(str(shown), str(at))),
        commands=(Command("box", box_program()),),
        environment=(EnvChange(EnvAction.UNSET, "LD_LIBRARY_PATH"),) if isolated else (),
        servers=(Path(config.server),) if config.server else (),
        idle=1,
    )
    make_folder(plan.prefix / HIDDEN, Permissions())
    commands.make(plan, ("box",), Permissions())
    variables = dict(base.environment) if isinstance(base, ImageBase) else {}
    return Room(plan.prefix / "bin/box", cwd, variables)


def _root(base: Base) -> Root:
    if not isinstance(base, ImageBase):
        return Root(Path("/"))
    if base.file is not None:
        return Root(base.file.path, base.file.offset, base.file.bytes)
    assert base.directory is not None
    return Root(base.directory)


def _tools() -> list[Path]:
    from tykky.tools import uv

    return [box_program().parent, Path(uv.program()).parent]
