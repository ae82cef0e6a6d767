"""Expansion of ``~``, ``$VAR``, ``${VAR:-default}``, ``{root}`` and ``{user}`` in values.

Public name: ``expand``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tykky.config.scopes import Setting
from tykky.host import home_of, user_name

_REFERENCE = re.compile(
    r"\$\$"
    r"|\$\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\}"
    r"|\$(?P<plain>[A-Za-z_]\w*)"
    r"|\{(?P<word>\w*)\}"
)


def expand(setting: Setting, text: str, environ: Mapping[str, str], root: Path | None) -> str:
    """``text``, an item of ``setting``, with all references replaced.

    Raises ConfigError with the setting's place. ``root`` is None while it is not known.
    """

    def replace(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        if found["word"] == "user":
            return user_name()
        if found["word"] == "root":
            if root is None:
                raise setting.error("refers to itself with {root}", "give the path itself")
            return str(root)
        if found["word"] is not None:
            raise setting.error(f"has an unknown {found[0]}", "there are {root} and {user}")
        name, default = found["braced"] or found["plain"], found["default"]
        value = environ.get(name)
        if value or (value is not None and default is None):
            return value
        if default is None:
            remedy = f"set the variable, or write ${{{name}:-default}}"
            raise setting.error(f"uses ${name}, which is not set", remedy)
        return _tilde(setting, default, environ)

    return _REFERENCE.sub(replace, _tilde(setting, text, environ))


def _tilde(setting: Setting, text: str, environ: Mapping[str, str]) -> str:
    if not text.startswith("~"):
        return text
    name, slash, rest = text[1:].partition("/")
    home = home_of(name, environ)
    if not home:
        problem = "uses ~, but this user has no home and HOME is not set"
        if name:
            problem = f"names the home of user '{name}', whom this machine does not know"
        raise setting.error(problem, "write the path itself")
    return home + slash + rest
