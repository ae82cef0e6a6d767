"""A site's own code around the steps: functions such as ``before_squash(build)``.

The configuration's ``hooks`` names one Python file. For every step it may define
``before_<step>`` and ``after_<step>``; each is given the build, with its ``plan``, ``scratch``
and ``log``.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tykky import trust
from tykky.errors import ConfigError, TykkyError, Where, did_you_mean
from tykky.text import read_text


class Hooks:
    """The functions of a hooks file. Raises ``ConfigError`` if the file is wrong.

    It must belong to whoever runs this, to root, or to one of its ``owners``.
    """

    def __init__(
        self, path: Path | None, steps: tuple[str, ...], owners: Collection[int] = ()
    ) -> None:
        self._path = path or Path()
        if path:
            trust.check(path, "the hooks file", ConfigError, owners)
        self._functions = _load(path) if path else {}
        known = [f"{when}_{step}" for when in ("before", "after") for step in steps]
        for name in self._functions:
            if name.startswith(("before_", "after_")) and name not in known:
                raise ConfigError(
                    f"the hooks file {path} defines '{name}', and there is no such step",
                    remedy=did_you_mean(name, known) or f"the steps are {', '.join(steps)}",
                )

    @property
    def see_contents(self) -> bool:
        """Whether one is called while the contents are made: it may look at them, or change them.

        Nobody knows whether it could do so a second time, to what it has changed already.
        """
        steps = ("before_build", "after_build", "before_finish", "after_finish", "before_squash")
        return not self._functions.keys().isdisjoint(steps)

    def call(self, name: str, build: object) -> None:
        """Call one function if it is there. Raises ``ConfigError`` with its line if it fails."""
        function = self._functions.get(name)
        if function is None:
            return
        try:
            # Standard output is for the program's answer, which may be JSON.
            with contextlib.redirect_stdout(sys.stderr):
                function(build)
        except TykkyError:
            raise
        except (Exception, SystemExit) as error:
            raise _failure(self._path, f"the hook '{name}' failed", error) from error


def _load(path: Path) -> dict[str, Any]:
    try:
        remedy = "'tykky config why hooks' says where it was set"
        text = read_text(path, "hooks file", ConfigError, remedy=remedy)
        found: dict[str, Any] = {"__name__": "tykky_hooks", "__file__": str(path)}
        exec(compile(text, str(path), "exec", dont_inherit=True), found)
        return found
    except TykkyError:
        raise
    except SyntaxError as error:
        raise ConfigError(
            f"the hooks file is not valid Python: {error.msg}",
            where=Where(path, error.lineno or 0),
        ) from None
    except (Exception, SystemExit) as error:
        raise _failure(path, "the hooks file failed", error) from error


def _failure(path: Path, what: str, error: BaseException) -> ConfigError:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    line = frames[-1].lineno if frames else 0
    return ConfigError(
        f"{what}: {type(error).__name__}: {error}",
        remedy="correct the hooks file, or do without: -c hooks=",
        where=Where(path, line or 0),
    )
