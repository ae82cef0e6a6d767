"""Expansion of ``~``, ``$VAR``, ``${VAR:-default}``, ``{root}`` and ``{user}`` in values.

Public name: ``Expander``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from tykky.config.scopes import Setting

_REFERENCE = re.compile(
    r"\$\$"
    r"|\$\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\}"
    r"|\$(?P<plain>[A-Za-z_]\w*)"
    r"|\{(?P<word>\w*)\}"
)


class Expander:
    """Expands values against one environment; raises ConfigError with the setting's place."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.root: Path | None = None

    def expand(self, setting: Setting, text: str) -> str:
        """``text``, an item of ``setting``, with all references replaced."""

        def replace(found: re.Match[str]) -> str:
            if found[0] == "$$":
                return "$"
            if found["word"] is not None:
                return self._word(setting, found["word"])
            name = found["braced"] or found["plain"]
            value = self.environ.get(name, "")
            if value or (name in self.environ and found["default"] is None):
                return value
            if found["default"] is not None:
                return self._tilde(setting, found["default"])
            raise setting.error(
                f"uses ${name}, which is not set",
                f"set the variable, or write ${{{name}:-default}}",
            )

        return _REFERENCE.sub(replace, self._tilde(setting, text))

    def _word(self, setting: Setting, word: str) -> str:
        if word == "user":
            return self.user
        if word == "root" and self.root is not None:
            return str(self.root)
        if word == "root":
            raise setting.error("refers to itself with {root}", "give the path itself")
        raise setting.error(f"has an unknown {{{word}}}", "there are {root} and {user}")

    def _tilde(self, setting: Setting, text: str) -> str:
        if not text.startswith("~"):
            return text
        name, slash, rest = text[1:].partition("/")
        if not name and self.environ.get("HOME"):
            return self.environ["HOME"] + slash + rest
        import pwd

        try:
            entry = pwd.getpwnam(name) if name else pwd.getpwuid(os.getuid())
        except KeyError:
            raise setting.error(
                f"names the home of user '{name}', whom this machine does not know"
                if name
                else "uses ~, but this user has no home and HOME is not set",
                "write the path itself",
            ) from None
        return entry.pw_dir + slash + rest

    @cached_property
    def user(self) -> str:
        """The name of who runs this; the number where the machine knows no name."""
        import pwd

        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return str(os.getuid())
