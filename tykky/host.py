"""Who runs this, where, and when."""

from __future__ import annotations

import os
import pwd
import socket
import time
from collections.abc import Mapping
from pathlib import Path

#: How times are written: ISO 8601, UTC.
TIME = "%Y-%m-%dT%H:%M:%SZ"


def user_name() -> str:
    """The name of the user; the number where this machine knows no name.

    USER and LOGNAME are not asked: they say what somebody set them to.
    """
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def home_of(name: str, environ: Mapping[str, str]) -> str:
    """The home directory of a user, by default of who runs this; empty if it is not known."""
    if not name and environ.get("HOME"):
        return environ["HOME"]
    try:
        return (pwd.getpwnam(name) if name else pwd.getpwuid(os.getuid())).pw_dir
    except KeyError:
        return ""


def expanded(path: str) -> Path:
    """A path as people write it, with ``~`` for a home; there need be none of that name."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path would raise


def real(path: Path) -> Path:
    """Where a path leads, as far as it leads anywhere: a link may lead to itself."""
    return Path(os.path.realpath(path))


def host_name() -> str:
    """The name of this machine."""
    return socket.gethostname()


def owner_of(path: Path) -> str:
    """The name of the user whom a file belongs to; the number if this machine knows no name."""
    try:
        return path.owner()
    except KeyError:
        return str(path.stat().st_uid)


def group_of(path: Path) -> str:
    """The name of the group that a file belongs to; the number if this machine knows no name."""
    try:
        return path.group()
    except KeyError:
        return str(path.stat().st_gid)


def now() -> str:
    """The time in UTC, as records have it."""
    return time.strftime(TIME, time.gmtime())
