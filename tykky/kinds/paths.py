"""What the path of an install must be like for the scripts in it.

Public names: ``check_prefix``, ``check_path``.
"""

from __future__ import annotations

import re
from pathlib import Path

from tykky.errors import Exit, TykkyError

#: The longest first line of a script that every kernel reads whole (BINPRM_BUF_SIZE before
#: Linux 5.1), in bytes, with its ``#!`` and the line's end.
SHEBANG = 127


def check_path(prefix: Path, remedy: str) -> None:
    """Refuse a path that programs or PATH cannot hold."""
    try:
        str(prefix).encode()
    except UnicodeEncodeError:
        raise TykkyError(
            "the path of the install is not text that every program can read: "
            + ascii(str(prefix)),
            remedy=f"{remedy} (or is LC_ALL=C set? unset it)",
            code=Exit.PATH_TOO_LONG,
        ) from None
    if ":" in str(prefix) or "\n" in str(prefix):
        raise TykkyError(
            "the path of the install has a colon or a line break in it, which PATH cannot hold: "
            f"{prefix}",
            remedy=remedy,
            code=Exit.PATH_TOO_LONG,
        )


def check_prefix(prefix: Path, interpreter: str) -> None:
    """Refuse a prefix in which scripts of ``interpreter`` (``bin/python3``) would not start."""
    length = len(f"#!{prefix}/{interpreter}\n".encode())
    if length > SHEBANG:
        raise TykkyError(
            f"the path of the install is {length - SHEBANG} bytes too long for the first line of "
            f"its scripts: {prefix}",
            remedy="choose a shorter root: --root DIR, or 'tykky config set root DIR'",
            code=Exit.PATH_TOO_LONG,
        )
    if re.search(r"\s", str(prefix)):
        raise TykkyError(
            f"the path of the install has a blank in it, which scripts cannot name: {prefix}",
            remedy="choose a root without blanks: --root DIR",
            code=Exit.PATH_TOO_LONG,
        )
