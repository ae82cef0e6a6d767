"""The scopes a configuration is read from, and what each of them sets.

In order, later wins: ``defaults`` (shipped), ``system``, ``site``, ``user``, ``environment``,
``flags``. Files are parsed into :class:`Setting` objects that remember their line; nothing is
expanded or converted here.

Public names: ``Setting``, ``scope_files``, ``read_file``, ``from_environment``, ``from_flags``,
``variable_of``.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.config.schema import KEYS, SECTIONS
from tykky.errors import ConfigError, Where, did_you_mean

if TYPE_CHECKING:
    import yaml

SYSTEM_FILE = Path("/etc/tykky/config.yaml")

# Variables that start like a key's and are none: of the shell functions, and of this module.
OTHER_VARIABLES = frozenset({"TYKKY_CHANGE_PS1", "TYKKY_PATH", "TYKKY_PREFIX", "TYKKY_SITE_CONFIG"})


@dataclass(frozen=True)
class Setting:
    """One key as one scope sets it; ``items`` is used instead of ``text`` for lists.

    ``where`` is the place in a file; ``source`` says the same for a person, or names the
    variable or flag. ``text`` may be missing in a list only.
    """

    key: str
    scope: str
    source: str
    text: str = ""
    items: tuple[str, ...] | None = None
    where: Where | None = None

    @property
    def raw(self) -> str:
        """The value as written, a list between brackets."""
        return self.text if self.items is None else f"[{', '.join(self.items)}]"

    def error(self, problem: str, remedy: str = "") -> ConfigError:
        """An error about this setting; ``problem`` continues a sentence."""
        cause = f"{self.key} {problem}"
        if self.where is None:
            cause += f" (set by {self.source})"
        remedy = remedy or f"see `tykky config why {self.key}`"
        return ConfigError(cause, remedy=remedy, where=self.where)


def scope_files(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    """The file of each scope that has one, in order; it need not exist."""
    from tykky.resources import resource

    yield "defaults", resource("configs") / "defaults.yaml"
    yield "system", SYSTEM_FILE
    named = environ.get("TYKKY_SITE_CONFIG")
    yield "site", Path(named) if named else Path(sys.prefix, "etc", "tykky", "config.yaml")
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(_home(environ), ".config")  # noqa: PTH118
    yield "user", Path(home, "tykky", "config.yaml")


def _home(environ: Mapping[str, str]) -> str:
    if environ.get("HOME"):
        return environ["HOME"]
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/nonexistent"


def read_file(scope: str, path: Path, *, required: bool = False) -> list[Setting]:
    """What the file of a scope sets; nothing if the file does not exist.

    Raises ConfigError, with the line, for a file that cannot be read or trusted, for YAML
    that is none, and for keys that are unknown, repeated, or not of the right shape.
    """
    try:
        with path.open("rb") as stream:
            _check_trust(scope, path, os.fstat(stream.fileno()))
            content = stream.read()
    except (FileNotFoundError, NotADirectoryError):
        if required:
            raise ConfigError(
                f"the file that TYKKY_SITE_CONFIG names does not exist: {path}",
                remedy="correct the variable, or unset it",
            ) from None
        return []
    except OSError as error:
        raise ConfigError(
            f"cannot read the {scope} configuration {path}: {error.strerror}",
            remedy=f"make it readable: chmod a+r {path}",
        ) from error
    return parse(scope, path, content)


def _check_trust(scope: str, path: Path, status: os.stat_result) -> None:
    """Refuse a file that somebody else could have written: it decides what code runs."""
    if scope in ("system", "site") and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            f"the {scope} configuration {path} can be written by others than its owner",
            remedy=f"take that away: chmod go-w {path}",
        )
    if scope == "user" and status.st_uid not in (os.getuid(), 0):
        raise ConfigError(
            f"the user configuration {path} belongs to another user",
            remedy="set XDG_CONFIG_HOME (or HOME) to a directory of yours",
        )
    if scope == "user" and status.st_mode & stat.S_IWOTH:
        raise ConfigError(
            f"the user configuration {path} can be written by everybody",
            remedy=f"take that away: chmod o-w {path}",
        )


def parse(scope: str, path: Path, content: bytes) -> list[Setting]:
    """What this content of a scope's file sets; raises ConfigError as :func:`read_file`."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = yaml.compose(content.decode(), Loader=loader)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path} is not UTF-8 text",
            remedy="save the file as UTF-8",
            where=Where(path, line),
        ) from error
    except yaml.YAMLError as error:
        raise _syntax_error(path, content.decode(), error) from error
    if root is None:
        return []
    reader = _Reader(scope, path)
    return list(reader.mapping("", root))


def _syntax_error(path: Path, content: str, error: yaml.YAMLError) -> ConfigError:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    if mark is None:
        return ConfigError(f"{path} is not valid YAML: {problem}", remedy="correct the file")
    lines = content.splitlines()
    text = lines[mark.line] if mark.line < len(lines) else ""
    remedy = "correct the line, or compare with `tykky config`"
    if "\t" in text:
        remedy = "YAML wants spaces, not tabs, at the start of lines"
    elif ": {" in text:
        remedy = "put quotes around values that start with a brace"
    where = Where(path, mark.line + 1, mark.column, 1, text)
    return ConfigError(f"not valid YAML: {problem}", remedy=remedy, where=where)


class _Reader:
    """Walks the nodes of one file and yields its settings."""

    def __init__(self, scope: str, path: Path) -> None:
        self.scope = scope
        self.path = path

    def mapping(self, section: str, node: yaml.Node) -> Iterator[Setting]:
        import yaml

        if not isinstance(node, yaml.MappingNode):
            shape = f"the section {section}" if section else "the file"
            names = ", ".join(SECTIONS[section])
            raise ConfigError(
                f"{shape} is not a list of `key: value` lines",
                remedy=f"below it may be: {names}",
                where=self._where(node),
            )
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            name = str(key_node.value)
            key = f"{section}.{name}" if section else name
            where = self._where(key_node)
            if name in seen:
                raise ConfigError(
                    f"{key} is set twice, first in line {seen[name]}",
                    remedy="remove one of the two lines",
                    where=where,
                )
            seen[name] = where.line
            if key in SECTIONS:
                if value_node.value not in ("", []):
                    yield from self.mapping(key, value_node)
            elif key in KEYS:
                yield self._setting(key, value_node)
            else:
                raise ConfigError(
                    f"unknown configuration key '{key}'",
                    remedy=unknown_key_remedy(key),
                    where=where,
                )

    def _setting(self, key: str, node: yaml.Node) -> Setting:
        import yaml

        where = self._where(node)
        source = f"{self.path}:{where.line}"
        kind = KEYS[key]
        if kind.is_list and isinstance(node, yaml.SequenceNode):
            if all(isinstance(item, yaml.ScalarNode) for item in node.value):
                items = tuple(self._scalar(item) for item in node.value)
                return Setting(key, self.scope, source, items=items, where=where)
        elif not kind.is_list and isinstance(node, yaml.ScalarNode):
            return Setting(key, self.scope, source, text=self._scalar(node), where=where)
        raise ConfigError(
            f"{key} is not {'a list such as [a, b]' if kind.is_list else 'one value'}",
            remedy="put quotes around values that start with a brace"
            if isinstance(node, yaml.MappingNode)
            else f"{key} is: {kind.name}",
            where=where,
        )

    def _scalar(self, node: yaml.Node) -> str:
        if str(node.tag).endswith(":null"):
            return ""
        return str(node.value)

    def _where(self, node: yaml.Node) -> Where:
        start, end = node.start_mark, node.end_mark
        width = end.column - start.column if end.line == start.line else 1
        return Where(self.path, start.line + 1, start.column, max(1, width))


def unknown_key_remedy(key: str) -> str:
    """What to do about a key that is none."""
    near = did_you_mean(key, list(KEYS))
    if not near and "." not in key:
        near = next((f"did you mean '{known}'?" for known in KEYS if known.endswith(f".{key}")), "")
    return near or "`tykky config` lists all keys"


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
        if key not in KEYS:
            raise ConfigError(
                f"unknown configuration key '{key}' on the command line",
                remedy=unknown_key_remedy(key),
            )
    return [_one_text(key, "flags", f"-c {key}", value) for key, value in flags.items()]


def _one_text(key: str, scope: str, source: str, value: str) -> Setting:
    kind = KEYS[key]
    if kind.is_list:
        return Setting(key, scope, source, items=kind.split(value))
    return Setting(key, scope, source, text=value)
