"""The scopes a configuration is read from, and what each of them sets.

In order, later wins: ``defaults`` (shipped), ``system``, ``site``, ``user``, ``root`` (a file in
the root itself), ``environment``, ``flags``. Files are parsed into :class:`Setting` objects that
remember their line; nothing is expanded or converted here.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tykky import trust
from tykky.config.remotes import split
from tykky.config.schema import KEYS, SECTIONS
from tykky.config.tree import Items, Section, Text, Value, read_tree
from tykky.errors import ConfigError, Where, did_you_mean
from tykky.files import open_regular
from tykky.host import home_of
from tykky.resources import resource
from tykky.text import whole

SYSTEM_FILE = Path("/etc/tykky/config.yaml")

# Variables that start like a key's and are none: of the shell functions, and of this module.
OTHER_VARIABLES = frozenset(
    {
        "TYKKY_CHANGE_PS1",
        "TYKKY_PATH",
        "TYKKY_PINS",
        "TYKKY_PREFIX",
        "TYKKY_RUNTIME_DIR",  # the launcher's
        "TYKKY_SITE_CONFIG",
    }
)
#: The file in a root that has what belongs to it, and the keys that it may set.
ROOT_FILE = "root.yaml"
OF_A_ROOT = (
    *("module_path", "signing.key"),
    *(f"{group}.{name}" for group in ("permissions", "catalog") for name in SECTIONS[group]),
)
#: An item of a list that stands for the list of the scopes before.
INHERITED = "{inherited}"
#: How a list without items is written where a value is one text.
NONE = "[]"


@dataclass(frozen=True)
class Setting:
    """One key as one scope sets it; the value is a text, or a tuple of them for lists.

    ``where`` is the place in a file; ``place`` says the same for a person (``file:line``), or
    names the variable or flag. ``other_root`` is the root that it is for, if that is not the one
    that counts: then this does not.
    """

    key: str
    scope: str
    place: str
    value: str | tuple[str, ...]
    where: Where | None = None
    other_root: str = ""

    @property
    def path(self) -> Path | None:
        """The file, if it is one."""
        return self.where.path if self.where else None

    @property
    def line(self) -> int:
        """The line in the file, or 0."""
        return self.where.line if self.where else 0

    @property
    def raw(self) -> str:
        """The value as written, a list between brackets."""
        return self.value if isinstance(self.value, str) else f"[{', '.join(self.value)}]"

    def error(self, problem: str, remedy: str) -> ConfigError:
        """An error about this setting; ``problem`` continues a sentence."""
        cause = f"{self.key} {problem}"
        if self.where is None:
            cause += f" (set by {self.place})"
        return ConfigError(cause, remedy=remedy, where=self.where)


def scope_files(environ: Mapping[str, str]) -> dict[str, Path]:
    """The file of each scope that has one, in order; it need not exist."""
    site = environ.get("TYKKY_SITE_CONFIG")
    user = environ.get("XDG_CONFIG_HOME") or f"{home_of('', environ) or '/nonexistent'}/.config"
    return {
        "defaults": resource("configs") / "defaults.yaml",
        "system": SYSTEM_FILE,
        "site": Path(site) if site else Path(sys.prefix, "etc", "tykky", "config.yaml"),
        "user": Path(user, "tykky", "config.yaml"),
    }


def read_scope(scope: str, path: Path, environ: Mapping[str, str]) -> list[Setting]:
    """What the file of a scope sets; nothing if the file does not exist.

    Raises ConfigError, with the line, for a file that cannot be read or trusted, for YAML
    that is none, and for keys that are unknown, repeated, or not of the right shape.
    """
    try:
        with open_regular(path) as stream:
            _check_trust(scope, path, os.fstat(stream.fileno()))
            content = whole(stream)
    except (FileNotFoundError, NotADirectoryError):
        if scope == "site" and environ.get("TYKKY_SITE_CONFIG"):
            raise ConfigError(
                f"the file that $TYKKY_SITE_CONFIG names does not exist: {path}",
                remedy="make the file, or correct or unset the variable",
            ) from None
        return []
    except OSError as error:
        raise ConfigError(
            f"cannot read the {scope} configuration {path}: {error.strerror}",
            remedy="make it a file that you can read, or remove it"
            if scope != "user"
            else "make it a file that you can read, or set HOME or XDG_CONFIG_HOME",
        ) from error
    return parse(scope, path, content)


def read_root(root: Path, environ: Mapping[str, str]) -> list[Setting]:
    """What a root says of itself, wherever it is mounted and whoever uses it.

    Raises ConfigError as :func:`read_scope`, and for a key that is not the root's own.
    """
    with contextlib.suppress(ValueError):  # no path at all
        if not os.access(root, os.X_OK):
            return []  # whoever looks for installs in it says that better
    settings = read_scope("root", root / ROOT_FILE, environ)
    for setting in settings:
        if setting.key not in OF_A_ROOT:
            raise setting.error(
                "does not belong to a root", f"a root may set {', '.join(OF_A_ROOT)}"
            )
    return settings


def _check_trust(scope: str, path: Path, status: os.stat_result) -> None:
    """Refuse a file that somebody else could have written: it decides what code runs."""
    problem, remedy = "", ""
    if scope in ("system", "site") and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        problem = "can be written by others than its owner"
        remedy = f"take that away: chmod go-w {path}"
    elif scope == "user" and status.st_uid not in (os.getuid(), 0):
        problem = "belongs to another user"
        remedy = "set XDG_CONFIG_HOME (or HOME) to a directory of yours"
    elif scope == "user" and status.st_mode & stat.S_IWOTH:
        problem = "can be written by everybody"
        remedy = f"take that away: chmod o-w {path}"
    elif scope in ("system", "site") and path.parent.stat().st_mode & stat.S_IWGRP:
        problem = f"can be replaced by others than the owner of {path.parent}"
        remedy = f"take that away: chmod g-w {path.parent}"
    if problem:
        raise ConfigError(f"the {scope} configuration {path} {problem}", remedy=remedy)
    if scope != "defaults":
        owners: tuple[int, ...] | None = None
        # Where the group may write to the root, its members share the work.
        if scope == "root" and not path.parent.stat().st_mode & stat.S_IWGRP:
            owners = trust.owner(path.parent)
        trust.check(path, f"the {scope} configuration", ConfigError, owners)


def parse(scope: str, path: Path, content: bytes) -> list[Setting]:
    """What this content of a scope's file sets; raises ConfigError as :func:`read_scope`."""
    tree = read_tree(path, content)
    if not isinstance(tree, Section):
        raise ConfigError(
            "the configuration is not a list of `key: value` lines",
            remedy="`tykky config` lists the keys",
            where=Where(path, 1),
        )
    return list(_section(scope, path, "", tree))


def _section(scope: str, path: Path, section: str, tree: Section) -> Iterator[Setting]:
    seen: dict[str, int] = {}
    for name, value in tree.entries:
        key = f"{section}.{name.text}" if section else name.text
        where = Where(path, name.line, name.column, name.width)
        if name.text in seen:
            raise ConfigError(
                f"{key} is set twice, first in line {seen[name.text]}",
                remedy="remove one of the two",
                where=where,
            )
        seen[name.text] = name.line
        if key in KEYS:
            yield _setting(scope, key, value, where)
        elif key not in SECTIONS:
            check_key(key, where=where)
        elif isinstance(value, Section):
            yield from _section(scope, path, key, value)
        elif not isinstance(value, Text) or value.text:
            raise ConfigError(
                f"{key} is a section, not a value",
                remedy=f"write below it, indented, one or more of: {', '.join(SECTIONS[key])}",
                where=where,
            )


def _setting(scope: str, key: str, value: Value, where: Where) -> Setting:
    kind = KEYS[key]
    place = f"{where.path}:{where.line}"
    if kind.is_list and isinstance(value, Items):
        return Setting(key, scope, place, tuple(item.text for item in value.texts), where)
    if kind.is_table and isinstance(value, Section):
        return Setting(key, scope, place, _table(key, value, where), where)
    if not kind.is_list and isinstance(value, Text):
        if value.text:
            where = Where(where.path, value.line, value.column, value.width)
        return Setting(key, scope, place, value.text, where)
    remedy = f"{key} is: {kind.name}"
    if isinstance(value, Section):
        remedy = "put quotes around a value that starts with a brace"
    wanted = "a list, such as [a, b]" if kind.is_list else "one value"
    raise ConfigError(f"{key} is not {wanted}", remedy=remedy, where=where)


def _table(key: str, section: Section, where: Where) -> tuple[str, ...]:
    """A section of names and texts as a list that extends the inherited one.

    What is searched in order has its own before what it inherits.
    """
    items = []
    for name, value in section.entries:
        if not isinstance(value, Text) or not value.text:
            raise ConfigError(
                f"{key}.{name.text} is not one value",
                remedy=f"write one text behind the name; {key} is: {KEYS[key].name}",
                where=Where(where.path, name.line, name.column, name.width),
            )
        items.append(f"{name.text}={value.text}")
    return (*items, INHERITED) if KEYS[key].path else (INHERITED, *items)


def check_key(key: str, set_by: str = "", where: Where | None = None) -> None:
    """Raise ConfigError, with a suggestion, if there is no such key."""
    if key in KEYS:
        return
    near = did_you_mean(key, list(KEYS))
    if not near and "." not in key:
        near = next((f"did you mean '{known}'?" for known in KEYS if known.endswith(f".{key}")), "")
    raise ConfigError(
        f"unknown configuration key '{key}'{set_by}",
        remedy=near or "`tykky config` lists all keys",
        where=where,
    )


def variable_of(key: str) -> str:
    """The environment variable of a key: TYKKY_SQUASH_LEVEL for squash.level."""
    return "TYKKY_" + key.replace(".", "_").replace("-", "_").upper()


def from_environment(environ: Mapping[str, str]) -> tuple[list[Setting], tuple[str, ...]]:
    """What the environment sets, and warnings about variables that look misspelt.

    An empty variable counts as not set.
    """
    keys = {variable_of(key): key for key in KEYS}
    settings, warnings = [], []
    for name, value in environ.items():
        if not name.startswith("TYKKY_") or name in OTHER_VARIABLES:
            continue
        key = keys.get(name)
        if key is not None:
            if value:
                settings.append(_one_text(key, "environment", f"${name}", value))
        elif near := did_you_mean(name, [*keys, *OTHER_VARIABLES]):
            warnings.append(f"the environment variable {name} has no meaning; {near}")
    return settings, tuple(warnings)


def from_flags(flags: Mapping[str, str]) -> list[Setting]:
    """What ``-c KEY=VALUE`` on the command line sets."""
    for key in flags:
        check_key(key, " on the command line")
    return [_one_text(key, "flags", f"-c {key}", value) for key, value in flags.items()]


def _one_text(key: str, scope: str, source: str, value: str) -> Setting:
    kind = KEYS[key]
    text = "" if value == NONE else value
    items = tuple(split(text) if key == "repos" else filter(None, text.split(kind.separator)))
    return Setting(key, scope, source, items if kind.is_list else value)
