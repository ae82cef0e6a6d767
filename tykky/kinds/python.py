"""What stacks with a Python environment have in common."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import Exit, TykkyError
from tykky.files import walk
from tykky.kinds.stack import Stack
from tykky.recipe import guarded
from tykky.runtime.base import EnvAction, EnvChange
from tykky.tools.layers import is_whiteout

if TYPE_CHECKING:
    from tykky.build.box import Box, RealBox
    from tykky.config import Config

#: The longest first line of a script that every kernel reads whole (BINPRM_BUF_SIZE before
#: Linux 5.1), in bytes, with its ``#!`` and the line's end.
SHEBANG = 127

#: What ``seal.py`` reads to know which modules are new or other, where most are not.
CHANGED = ".tykky-changed"

#: What is needed if something is in the stack. Older numba keeps compiled code until size or time
#: of a source change, and an image has no times: it would take the code of an earlier generation.
#: Jupyter puts an environment before the user's home only if it is the user's own.
_DEFAULTS = {
    "lib/python3*/site-packages/numba": ("NUMBA_CACHE_DIR", "${XDG_CACHE_HOME}/numba/{image}"),
    "share/jupyter/kernels": ("JUPYTER_PREFER_ENV_PATH", "1"),
}


class PythonStack(Stack):
    """A stack with a Python environment.

    ``user_site`` tells whether packages in the user's home (``pip install --user``) count; as
    configured, if the recipe does not say.
    """

    user_site: bool | None = None

    def shields(self, config: Config) -> Sequence[EnvChange]:
        """Nothing of another Python's library; if that is wished, no packages of the user's."""
        wish = guarded(self, "user_site")
        found = [EnvChange(EnvAction.UNSET, "PYTHONHOME")]
        if not (config.python.user_site if wish is None else wish):
            found.append(EnvChange(EnvAction.SET, "PYTHONNOUSERSITE", "1"))
        return found

    def defaults(self, box: RealBox) -> Sequence[EnvChange]:
        """A cache of compiled code for each content, and the stack's own kernels first."""
        return [
            EnvChange(EnvAction.DEFAULT, *variable)
            for pattern, variable in _DEFAULTS.items()
            if any(box.real(".").glob(pattern))
        ]


def check_prefix(prefix: Path, interpreter: str) -> None:
    """Refuse a prefix in which scripts of ``interpreter`` (``bin/python3``) would not start."""
    length = len(f"#!{prefix}/{interpreter}\n".encode())
    problem, remedy = "", "choose a shorter root: --root DIR, or 'tykky config set root DIR'"
    if length > SHEBANG:
        problem = f"is {length - SHEBANG} bytes too long for the first line of its scripts"
    elif re.search(r"\s", str(prefix)):
        problem = "has a blank in it, which scripts cannot name"
        remedy = "choose a root without blanks: --root DIR"
    if problem:
        cause = f"the path of the install {problem}: {prefix}"
        raise TykkyError(cause, remedy=remedy, code=Exit.PATH_TOO_LONG)


def _list_changed(real: RealBox) -> None:
    """Write which modules may have no byte code; remove that of modules that are gone."""
    upper = real.scratch.upper
    assert upper is not None
    below, top = real.scratch.below, real.scratch.top
    prefix = str(real.prefix).removesuffix(f"/{below}" if below else "")
    found: set[str] = set()
    for entry in walk(upper):
        path = Path(entry.path).relative_to(upper)
        if path.name == "__pycache__":  # which may be gone as a whole
            found |= {str(p.relative_to(top)) for p in (top / path.parent).glob("*.py")}
        elif entry.is_dir(follow_symlinks=False):
            continue
        elif path.suffix == ".py":
            found.add(str(path))
            if is_whiteout(entry.stat(follow_symlinks=False)):
                compiled = top / path.parent / "__pycache__"
                for old in compiled.glob(f"{path.stem}.*.pyc"):
                    old.unlink()
                with contextlib.suppress(OSError):  # what is not empty stays
                    compiled.rmdir()
    lines = "".join(f"{prefix}/{path}\n" for path in sorted(found) if "\n" not in path)
    real.write(CHANGED, lines)


def seal(box: Box, *words: str | Path) -> None:
    """Have the environment's Python finish it: ``words`` say what the script ``seal.py`` does."""
    text = Path(__file__).with_name("seal.py").read_text(encoding="utf-8")
    script = box.write(".tykky-seal.py", text)
    if box.changing:
        box.do("list the modules that are new or other", _list_changed)
    line = [box.prefix / "bin/python", "-I", script, str(box.jobs), *words]
    box.run(line, say="byte code for all modules")
