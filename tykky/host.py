"""Who runs this, and where.

Public names: ``user_name``, ``host_name``, ``owner_of``.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path


def user_name() -> str:
    """The name of the user; the number where this machine knows no name.

    USER and LOGNAME are not asked: they say what somebody set them to.
    """
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def host_name() -> str:
    """The name of this machine."""
    return socket.gethostname()


def owner_of(path: Path) -> str:
    """The name of the user whom a file belongs to; the number if this machine knows no name."""
    try:
        return path.owner()
    except KeyError:
        return str(path.stat().st_uid)
