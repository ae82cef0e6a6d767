"""What several verbs share: answers, arguments, the recipe repositories, the places of installs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tykky import console
from tykky.config import Config
from tykky.errors import Exit, SpecError, TykkyError, did_you_mean

if TYPE_CHECKING:
    from tykky.contents import Installed
    from tykky.kinds.stack import Stack
    from tykky.lists.reading import Wanted
    from tykky.publish import Publisher
    from tykky.repos import Repos
    from tykky.spec import Spec
    from tykky.store import Entry, Place, Record, Store


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
        "version": 1,  # of this form
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
        if lines:  # at once, since there may be thousands
            console.say("\n".join(lines))

    return show


@dataclass(frozen=True)
class Call:
    """A call of a verb: its arguments, the configuration, and what is at hand by that."""

    args: argparse.Namespace
    config: Config

    @cached_property
    def store(self) -> Store:
        """The store of the installs."""
        from tykky.store import Store

        return Store.of(self.config)

    @cached_property
    def stores(self) -> list[Store]:
        """Those of all roots that are searched, in order; only of the one that is named by --root.

        A root that cannot be read is told of.
        """
        from tykky.store import roots

        if self._has_named:
            return [self.store]
        found, problems = roots.searched(self.store)
        for problem in problems:
            console.warn(problem)
        return found

    @property
    def where(self) -> str:
        """What is searched, for people."""
        return ", ".join(store.title for store in self.stores)

    def having(self, words: str) -> Call:
        """This call, on the root that has an install: the first in which it is whole."""
        from tykky.store import roots

        store = self.store if self._has_named else roots.having(self.store, words)
        if store is self.store:
            return self
        return Call(self.args, Config.load({**self.args.flags, "root": str(store.root)}))

    @property
    def _has_named(self) -> bool:
        return self.config.origin("root").scope == "flags"

    @cached_property
    def publisher(self) -> Publisher:
        """What shows the installs of the store."""
        from tykky.publish import Publisher

        testing = "testing" if getattr(self.args, "testing", False) else ""
        return Publisher(self.config, self.store, testing)

    @cached_property
    def repos(self) -> Repos:
        """The recipe repositories that the configuration names, in order."""
        from tykky.repos import Repos

        usable = []
        for path in self.config.repos:
            if path in self.config.remotes and not self._provided(path):
                continue
            # A directory that is not mounted here must not hide all other recipes.
            if os.access(f"{path}/", os.R_OK | os.X_OK):
                usable.append(path)
            else:
                unread = f"the recipe repository {path} cannot be read"
                console.warn(f"{unread}; 'tykky config why repos'")
        return Repos(usable)

    def _provided(self, path: Path) -> bool:
        """Whether there are the recipes of a repository that git fetches; a warning if not."""
        from tykky.tools import checkouts

        remote = self.config.remotes[path]
        try:
            if not checkouts.is_there(remote, self.config.cache_dir):
                console.note(f"fetching the recipes of {remote.address}")
                checkouts.provide(remote, self.config.cache_dir)
        except TykkyError as error:
            console.warn(f"{error.cause}, so its recipes are missing; {error.remedy}")
            return False
        return True

    @contextmanager
    def changing(self, place: Place, what: str) -> Iterator[bool]:
        """Hold the claim of a place, rid of what killed changes have left there.

        Gives whether it is held: not where the file system has no locks.
        """
        from tykky.store.place import sweep

        with self.store.claim(place.prefix, what, console.note) as held:
            place.check_formats()
            if held:
                sweep(place)
            yield held

    def settle(self) -> None:
        """Do what the site wants done after changes, once at the end of a verb."""
        publisher: Publisher | None = self.__dict__.get("publisher")
        changed = publisher is not None and publisher.modules.changed
        if changed and (problem := self.publisher.modules.after_change()):
            console.warn(problem)
        if publisher is not None and publisher.told and self.config.catalog.output:
            from tykky.publish import catalog

            for problem in catalog.follow(self.config, self.store):
                console.warn(problem)

    def warn_of_unreadable(self) -> None:
        """Tell which entries the last look into the database has left out."""
        for store in self.stores:
            for problem in store.unreadable:
                console.warn(f"{problem}; it is left out")

    def warn_of_unmounted(self) -> None:
        """Tell of the roots whose stacks may need what is to go."""
        from tykky.store import roots

        for problem in roots.searched(self.store)[1]:
            console.warn(f"{problem}; what the stacks in it need, nobody can tell")


#: An argument of a verb: its names, and what else argparse is told of it.
Argument = tuple[tuple[str, ...], dict[str, Any]]


@dataclass(frozen=True)
class Action:
    """A word after the verb, such as ``get`` in ``tykky config get``, and what it does."""

    run: Callable[[Call], Result]
    help: str
    arguments: Sequence[Argument] = ()
    description: str | None = None


def option(*names: str, help: str, **settings: Any) -> Argument:
    """An option with a value."""
    return names, {"help": help, **settings}


def flag(*names: str, help: str) -> Argument:
    """An option that is given or not."""
    return names, {"help": help, "action": "store_true"}


def positional(metavar: str, help: str, nargs: str | None = None) -> Argument:
    """A word, or several, by the name that the help shows for it."""
    return (metavar.lower(),), {"help": help, "metavar": metavar, "nargs": nargs}


def specs(what: str, nargs: str = "+") -> Argument:
    """Specs as words: ``python-data@26.11 +jupyter``."""
    return positional("SPEC", f"{what}: NAME[@VERSION] [+x ~y k=v]", nargs)


def specs_of(words: Sequence[str]) -> list[Spec]:
    """The specs of a command line, at least one. Raises ``SpecError``."""
    from tykky.spec import parse, parse_one

    # Words that hold nothing are answered like a missing one.
    return parse(words) or [parse_one(words)]


def listed(call: Call, *, here: bool = False) -> tuple[Wanted, ...]:
    """What the stack list of ``--list`` wants, if one is named; all of it, or what is for here."""
    from tykky.bases import arch
    from tykky.host import host_name
    from tykky.lists import reading

    if not call.args.list:
        return ()
    found = reading.read(Path(call.args.list), host_name(), call.config.cache_dir).stacks
    return tuple(w for w in found if not here or (w.here and arch() in (w.arch or (arch(),))))


def check_named(call: Call) -> None:
    """Raise ``TykkyError`` where neither specs nor a list are given."""
    if not call.args.spec and not call.args.list:
        remedy = f"name one, or a file with --list; 'tykky {call.args.verb} --help' has examples"
        raise TykkyError("a spec is missing", remedy=remedy, code=Exit.USAGE)


def recipes(repos: Repos, patterns: Iterable[str]) -> list[str]:
    """The recipe names that match globs, or all. Raises ``SpecError`` for a glob without any."""
    names = repos.names()
    chosen: list[str] = []
    for pattern in patterns:
        found = [name for name in names if fnmatchcase(name, pattern)]
        if not found:
            remedy = did_you_mean(pattern, names) or "'tykky list' shows the recipes there are"
            raise SpecError(f"there is no recipe '{pattern}'", remedy=remedy)
        chosen += found
    return list(dict.fromkeys(chosen)) or names


def selected(repos: Repos, name: str) -> list[Stack]:
    """A recipe in every version with every combination of choices."""
    from tykky.recipe import selections

    return cast("list[Stack]", list(selections(repos.load(name))))


def named(words: Sequence[str]) -> list[str]:
    """The installs meant by the words: choices belong to the name before them."""
    names: list[str] = []
    for word in words:
        if names and (word[:1] in "+~" or ("=" in word and "/" not in word)):
            names[-1] += f" {word}"
        else:
            names.append(word)
    return names


def root_column(where: Mapping[str, Store]) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """The head of a column that tells the root of installs, and its cell for each prefix.

    Both are empty where all are in one root.
    """
    heads = ("ROOT",) if len({store.root for store in where.values()}) > 1 else ()
    return heads, {p: tuple(s.name or str(s.root) for _ in heads) for p, s in where.items()}


def packages_of(install: Entry, *, base: bool = False) -> tuple[Installed, ...]:
    """The packages that an install brings itself; with ``base``, also those of its base.

    None, and a warning, if they cannot be read. Of what is closed to whoever asks, nothing is said.
    """
    from tykky.contents import of_install, own

    if place_of(install).is_closed:
        return ()
    try:
        found = of_install(place_of(install).generation(install.generation))
        return found if base else own(found)
    except TykkyError as error:
        console.warn(f"{error.cause}; it is left out")
        return ()


def records_of(installs: Iterable[Entry]) -> Iterator[Record]:
    """The current records of installs; what cannot be read is warned of, and left out.

    Of what is closed to whoever asks, nothing is said.
    """
    for install in installs:
        place = place_of(install)
        try:
            if not place.is_closed:
                yield place.record()
        except TykkyError as error:
            console.warn(f"{error.cause}; it is left out")


def place_of(install: Entry) -> Place:
    """The place of an install."""
    from tykky.store import Place

    return Place(Path(install.prefix))
