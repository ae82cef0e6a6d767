"""What several verbs share: the recipe repositories, spec arguments, matching names.

Public names: ``Result``, ``envelope``, ``said``, ``repos_of``, ``specs_of``, ``add_specs``,
``recipes``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from tykky import console
from tykky.config import Config
from tykky.errors import Exit, SpecError, TykkyError, did_you_mean

if TYPE_CHECKING:
    from tykky.repos import Repos
    from tykky.spec import Spec


#: The version of the envelope that every ``--json`` answers with.
ENVELOPE = 1


@dataclass(frozen=True)
class Result:
    """What a verb answers: a value for programs, how people are shown it, and the exit code.

    ``errors`` are what failed of several things, of which the others were done.
    """

    value: Any = None
    show: Callable[[], None] = lambda: None
    code: int = Exit.OK
    errors: tuple[TykkyError, ...] = ()


def envelope(verb: str, result: Result) -> dict[str, Any]:
    """The one JSON document that a verb answers with, also when it fails."""
    return {
        "version": ENVELOPE,
        "verb": verb,
        "status": "ok" if result.code == Exit.OK else "failed",
        "code": int(result.code),
        "result": result.value,
        "errors": [
            {
                "cause": error.cause,
                "remedy": error.remedy,
                "code": int(error.code),
                "where": str(error.where).splitlines()[0] if error.where else "",
                "details": list(error.details),
            }
            for error in result.errors
        ],
    }


def said(lines: Sequence[str]) -> Callable[[], None]:
    """What prints these lines as the answer."""

    def show() -> None:
        for line in lines:
            console.say(line)

    return show


def repos_of(config: Config) -> Repos:
    """The recipe repositories that the configuration names, in order."""
    from tykky.repos import Repos

    usable = []
    for path in config.repos:
        # A directory that is not mounted here must not hide all other recipes.
        if path.is_dir() and os.access(path, os.R_OK | os.X_OK):
            usable.append(path)
        else:
            console.warn(f"the recipe repository {path} cannot be read; 'tykky config why repos'")
    return Repos(usable)


def specs_of(words: Sequence[str]) -> list[Spec]:
    """The specs of a command line, at least one. Raises ``SpecError``."""
    from tykky.spec import parse, parse_one

    # Words that hold nothing are answered like a missing one.
    return parse(words) or [parse_one(words)]


def add_specs(parser: argparse.ArgumentParser, *, many: bool, what: str) -> None:
    """The spec as words: ``python-data@26.11 +jupyter``."""
    parser.add_argument(
        "spec",
        nargs="+" if many else "*",
        metavar="SPEC",
        help=f"{what}: NAME[@VERSION] [+x ~y k=v]",
    )


def recipes(repos: Repos, patterns: Iterable[str]) -> list[str]:
    """The recipe names that match globs, or all. Raises ``SpecError`` for a glob without any."""
    names = repos.names()
    chosen: list[str] = []
    for pattern in patterns:
        found = [name for name in names if fnmatchcase(name, pattern)]
        if not found:
            raise SpecError(
                f"there is no recipe '{pattern}'",
                remedy=did_you_mean(pattern, names) or "'tykky list' shows the recipes there are",
            )
        chosen += found
    return list(dict.fromkeys(chosen)) or names
