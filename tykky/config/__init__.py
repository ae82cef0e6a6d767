"""The configuration: seven scopes merged into one typed, frozen value.

``Config.load`` reads the scopes (see :mod:`tykky.config.scopes`), expands and checks the
winning value of every key, and keeps where each came from: ``config.origin(key)`` names the
winner, ``config.why(key)`` all scopes that set the key.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tykky import trust
from tykky.config.remotes import PREFIX, Remote
from tykky.config.schema import (
    GROUPS,
    KEYS,
    SECTIONS,
    Advisories,
    Catalog,
    Conda,
    Licences,
    Module,
    Permissions,
    Pip,
    Python,
    Slurm,
    Squash,
    Values,
)
from tykky.config.scopes import (
    INHERITED,
    OF_A_ROOT,
    Setting,
    check_key,
    from_environment,
    from_flags,
    parse,
    read_root,
    read_scope,
    scope_files,
    variable_of,
)
from tykky.errors import ConfigError, did_you_mean
from tykky.host import home_of, user_name
from tykky.resources import resource

__all__ = [
    "KEYS",
    "Advisories",
    "Catalog",
    "Conda",
    "Config",
    "Licences",
    "Module",
    "Permissions",
    "Pip",
    "Python",
    "Setting",
    "Slurm",
    "Squash",
    "check_key",
    "variable_of",
]


@dataclass(frozen=True, kw_only=True)
class Config(Values):
    """All values, and what set each; ``warnings`` are lines for the user that are no errors.

    ``remotes`` are those of the ``repos`` that git fetches, by their directories.
    """

    warnings: tuple[str, ...] = ()
    chains: Mapping[str, tuple[Setting, ...]] = field(default_factory=dict, repr=False)
    remotes: Mapping[Path, Remote] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        flags: Mapping[str, str] | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> Config:
        """Read all scopes. ``flags`` are the keys given on the command line.

        Raises ConfigError that names file and line, variable or flag.
        """
        files = scope_files(environ).items()
        settings = [each for file in files for each in read_scope(*file, environ)]
        variables, warnings = from_environment(environ)
        return _build([*settings, *variables, *from_flags(flags or {})], environ, warnings)

    @classmethod
    def check(cls, scope: str, content: bytes, environ: Mapping[str, str] = os.environ) -> Config:
        """What the configuration would be up to ``scope`` if that scope's file were this.

        Raises ConfigError if it would be none; nothing is written.
        """
        settings: list[Setting] = []
        for each, path in scope_files(environ).items():
            if each == scope:
                settings += parse(scope, path, content)
                break
            settings += read_scope(each, path, environ)
        return _build(settings, environ, ())

    def get(self, key: str) -> Any:
        """The value of a key such as ``squash.level``; raises ConfigError if there is none."""
        check_key(key)
        section, _, name = key.rpartition(".")
        return getattr(getattr(self, section) if section else self, name)

    def origin(self, key: str) -> Setting:
        """Where the value of a key came from."""
        return _counting(self.why(key))[-1]

    def owners(self, key: str) -> tuple[int, ...]:
        """The owner of the file that sets a key, who is trusted with what it names."""
        file = self.origin(key).path
        return trust.owner(file) if file else ()

    def why(self, key: str) -> tuple[Setting, ...]:
        """All scopes that set a key, in order; of those that count here, the last one does."""
        check_key(key)
        return self.chains[key]


def _build(
    settings: Iterable[Setting], environ: Mapping[str, str], warnings: tuple[str, ...]
) -> Config:
    chains: dict[str, list[Setting]] = {}
    for setting in settings:
        chains.setdefault(setting.key, []).append(setting)
    values: dict[str, Any] = {}
    # The roots come first, which root may name one of; then root: the others may refer to it.
    for key in dict.fromkeys(("roots", *KEYS)):
        if key not in chains:
            raise ConfigError(
                f"the shipped defaults lack the key '{key}'",
                remedy="install Tykky again: its files do not belong together",
            )
        values[key] = _value(_counting(chains[key]), environ, values)
        if key == "roots":
            first = dict(reversed(values[key]))  # the first with a name counts
            values[key] = tuple((name, first[name]) for name in dict.fromkeys(dict(values[key])))
        if key == "root":
            _keep_to_its_root(chains, values, environ)
            for setting in read_root(values[key], environ):
                chain = chains[setting.key]
                chain.insert(sum(not _is_later(each, setting) for each in chain), setting)
    if values["squash.compression"] == "gzip" and values["squash.level"] > 9:
        raise _counting(chains["squash.level"])[-1].error(
            f"= {values['squash.level']} is too high for gzip", "gzip has the levels 1 to 9"
        )
    named: dict[Path, Path | Remote] = {
        each.folder(values["cache_dir"]) if isinstance(each, Remote) else each: each
        for each in values["repos"]
    }
    values["repos"] = tuple(named)
    if values["builtin_repo"]:
        values["repos"] = (*values["repos"], resource("repo"))
    groups: dict[str, Any] = {
        section: group(**{name: values[f"{section}.{name}"] for name in SECTIONS[section]})
        for section, group in GROUPS.items()
    }
    return Config(
        **{name: values[name] for name in SECTIONS[""]},
        **groups,
        warnings=warnings,
        chains={key: tuple(chain) for key, chain in chains.items()},
        remotes={path: each for path, each in named.items() if isinstance(each, Remote)},
    )


#: What belongs to the root of the scope that sets it, and means nothing for another one.
_ORDER = ("defaults", "system", "site", "user", "root", "environment", "flags")


def _keep_to_its_root(
    chains: dict[str, list[Setting]], known: Mapping[str, Any], environ: Mapping[str, str]
) -> None:
    """Mark what is set for another root than the one that counts, which another scope has set.

    A user's own stacks must not go into the site's module directory, nor belong to its staff. The
    same root by another name is the same, and what says ``{root}`` is for any.
    """
    for key in OF_A_ROOT:
        for number, setting in enumerate(chains.get(key, [])):
            seen = [each for each in chains["root"] if not _is_later(each, setting)]
            if setting.scope == "defaults" or "{root}" in setting.raw:
                continue
            with contextlib.suppress(ConfigError):
                own = _value(seen, environ, {"roots": known["roots"]})
                if os.path.realpath(own) == os.path.realpath(known["root"]):
                    continue
            chains[key][number] = replace(setting, other_root=seen[-1].raw)


def _is_later(one: Setting, other: Setting) -> bool:
    return _ORDER.index(one.scope) > _ORDER.index(other.scope)


def _counting(chain: Sequence[Setting]) -> list[Setting]:
    """The settings that are not for another root."""
    return [setting for setting in chain if not setting.other_root]


def _value(chain: Sequence[Setting], environ: Mapping[str, str], known: Mapping[str, Any]) -> Any:
    """The checked value of a key: the last setting's, whose list may contain the earlier.

    ``known`` are the values that it may refer to.
    """
    winner = chain[-1]
    if isinstance(winner.value, str):
        return _item(winner, winner.value, environ, known)
    values: list[Any] = []
    for text in winner.value:
        if text == INHERITED:
            values += _value(chain[:-1], environ, known) if chain[:-1] else ()
        else:
            values.append(_item(winner, text, environ, known))
    return tuple(values)


def _item(setting: Setting, text: str, environ: Mapping[str, str], known: Mapping[str, Any]) -> Any:
    kind = KEYS[setting.key]
    name, equals, path = text.partition("=") if kind.path and kind.is_table else ("", "", text)
    expanded = path if kind.raw else _expand(setting, path, environ, known.get("root"))
    named = dict(known.get("roots", ())) if setting.key == "root" else {}
    is_word = bool(expanded) and "/" not in expanded
    if is_word and expanded in named:
        return named[expanded]
    is_remote = setting.key == "repos" and expanded.startswith(PREFIX)
    if kind.path and expanded and not expanded.startswith("/") and not is_remote:
        # A file's paths count from the file, a flag's from here; a variable has no such place.
        if setting.path is not None:
            expanded = str(setting.path.parent.absolute() / expanded)
        elif setting.scope == "flags":
            expanded = str(Path.cwd() / expanded)
    if is_word and named and not Path(expanded).is_dir():  # else a misspelt name would make it
        near = did_you_mean(path, list(named)) or f"there are {', '.join(named)};"
        new = "named by its path" if setting.scope == "environment" else f"./{path}"
        problem = f"= '{path}' is no name of 'roots', and no directory"
        raise setting.error(problem, f"{near} a new directory is {new}")
    expanded = f"{name}{equals}{expanded}"
    try:
        return kind.parse(expanded)
    except ValueError as error:
        shown = f"'{text}'" if expanded == text else f"'{text}' ({expanded})"
        shown = re.sub(r"[^\s/'(:@]+:[^\s/'@]*@", "***@", shown)  # a user with a password
        raise setting.error(f"= {shown} {error}", f"{setting.key} is: {kind.name}") from None


_REFERENCE = re.compile(
    r"\$\$"
    r"|\$\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\}"
    r"|\$(?P<plain>[A-Za-z_]\w*)"
    r"|\{(?P<word>\w*)\}"
)


def _expand(setting: Setting, text: str, environ: Mapping[str, str], root: Path | None) -> str:
    """``text``, an item of ``setting``, with all references replaced.

    They are ``~``, ``$VAR``, ``${VAR:-default}``, ``{root}`` (None while it is not known) and
    ``{user}``.
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
