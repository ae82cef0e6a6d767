"""How a list and reality differ: what would be built, has another state, or is in no list."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tykky import bases
from tykky.build import locking, together
from tykky.build import plan as plans
from tykky.config import Config
from tykky.errors import ConfigError, Exit, StoreError, TykkyError
from tykky.recipe import Version, guarded, read_all, source_digest
from tykky.spec import parse_one
from tykky.store import Entry, Record, Store, state

if TYPE_CHECKING:
    from tykky.kinds.stack import Stack
    from tykky.lists.reading import StackList, Wanted
    from tykky.repos import Repos
    from tykky.spec import Spec

#: What is to be done about a stack: ``build`` makes it, ``publish`` and ``switch`` take what is
#: there; ``elsewhere`` is for another architecture or host, ``fails`` cannot be planned.
DOES = ("nothing", "switch", "publish", "build", "elsewhere", "fails")


@dataclass(frozen=True)
class Row:
    """What is to be done about one stack of a list, for one architecture.

    ``after`` are the indexes of the rows that it counts on, as far as these are to be built.
    """

    wanted: Wanted
    arch: str
    root: Path
    does: str
    flags: Mapping[str, str]
    module: str = ""
    why: str = ""
    after: tuple[int, ...] = ()
    recipe: Stack | None = None
    error: TykkyError | None = None

    @property
    def title(self) -> str:
        """What people know it by."""
        return self.module or str(self.wanted.spec)

    @property
    def is_open(self) -> bool:
        """Whether there is anything to be built or switched."""
        return self.does in ("switch", "publish", "build")

    @property
    def place(self) -> str:
        """The line of the list."""
        return f"{self.wanted.where.path}:{self.wanted.where.line}"


@dataclass(frozen=True)
class Looker:
    """Compares lists; ``far`` tells whether other architectures can be built for as well.

    With ``force``, all is to be built.
    """

    flags: Mapping[str, str]
    repos: Repos
    say: Callable[[str], None]
    far: bool = False
    force: bool = False

    def rows(self, found: StackList) -> list[Row]:
        """A row for each stack and architecture, in an order in which they can be built.

        What cannot be planned has its error in its row.
        """
        rows = [row for wanted in found.stacks for row in self._begun(wanted)]
        _check_defaults(rows)
        rows = _ordered(_without_mixed(rows))
        done: list[Row] = []
        for row in rows:
            self.say(row.title)
            done.append(self._looked(row, done))
        return done

    def installs(self, found: StackList) -> list[Record]:
        """What a list means for this machine, as it is installed. Raises ``TykkyError``."""
        records: dict[str, Record] = {}
        for wanted in found.stacks:
            for row in self._begun(wanted) if wanted.here else ():
                if row.arch != bases.arch():
                    continue
                if row.error is not None:
                    raise row.error
                store = Store.of(_configured(row.flags, wanted))
                entry = entry_of(row, store)
                if entry is None:
                    cause = f"{row.title} is not installed in {row.root}"
                    remedy = f"'tykky install --list {shlex.quote(str(found.path))}' builds it"
                    raise StoreError(cause, remedy=remedy, where=wanted.where)
                records.setdefault(entry.prefix, store.record(entry))
        return [*records.values()]

    def _begun(self, wanted: Wanted) -> list[Row]:
        """The rows of a stack, with recipe and root, and nothing looked up yet."""
        rows = []
        for arch in wanted.arch or (bases.arch(),):
            flags = {**self.flags, **wanted.settings}
            row = Row(wanted, arch, Path(), "build", flags)
            try:
                if root := wanted.root_for(arch):
                    flags["root"] = root
                config = _configured(flags, wanted)
                if root and not re.search("^[~$]|/", root) and root not in dict(config.roots):
                    cause = f"'{root}' is no name of 'roots', and no path"
                    raise ConfigError(cause, remedy=f"write a path in full, or as ./{root}")
                row = replace(row, root=config.root)
                flags["root"] = str(row.root)
                recipe = cast("Stack", self.repos.select(wanted.spec))
                read_all(recipe)
                module = f"{recipe.name}/{recipe.version}{recipe.suffix}"
                row = replace(row, recipe=recipe, module=module)
            except TykkyError as error:
                row = replace(row, does="fails", error=_at(error, wanted))
            if not wanted.here:
                row = replace(row, does="elsewhere", why="for another host")
            rows.append(row)
        return rows

    def _looked(self, row: Row, before: Sequence[Row]) -> Row:
        """A row with what is to be done, once that of those ``before`` it is known."""
        recipe, wanted = row.recipe, row.wanted
        if recipe is None or row.does in ("fails", "elsewhere"):
            return row
        try:
            config = _configured(row.flags, wanted)
            store = Store.of(config)
            place = store.place(recipe.name, f"{recipe.version}{recipe.suffix}")
            after = _after(row, before, config)
            row = replace(row, after=tuple(n for n in after if before[n].is_open))
            if failing := [before[n] for n in after if before[n].does == "fails"]:
                cause = f"{row.title} counts on {failing[0].title}, which cannot be built"
                raise TykkyError(cause, remedy="correct that first", code=Exit.NOT_FOUND)
            if place.current and (there := place.record()).arch not in ("", row.arch):
                raise plans.mixed(there, row.arch)
            settled = locking.known_lock(recipe, config, row.arch, place)
            if row.arch != bases.arch():
                return self._far(row, settled.lock.digest if settled else "", store)
            does = "build"
            if settled is None and locking.has_packages(recipe, config, row.arch):
                row = replace(row, why="not locked")
            elif not row.after:
                plan = plans.make(recipe.spec, config, self.repos, store, self.say, settled=settled)
                does = plans.foresee(plan)
            return self._forced(replace(row, does=does))
        except TykkyError as error:
            return replace(row, does="fails", error=_at(error, wanted))

    def _forced(self, row: Row) -> Row:
        """A row that is to be built whatever is there, if that is wanted."""
        if not self.force or row.does == "build":
            return row
        return replace(row, does="build", why="--force")

    def _far(self, row: Row, lock: str, store: Store) -> Row:
        """A row for another architecture, of which only a machine of that knows all."""
        assert row.recipe is not None
        if not lock and locking.has_packages(
            row.recipe, _configured(row.flags, row.wanted), row.arch
        ):
            row = replace(row, why=f"not locked for {row.arch}")
        if entry := entry_of(row, store):
            record, digest = store.record(entry), source_digest(type(row.recipe))
            if lock == record.lock and record.recipe.get("digest") == digest:
                row = replace(row, does="nothing")
                return self._forced(row) if self.far else row
        if not self.far:
            why = ", ".join(filter(None, (f"for {row.arch}", row.why)))
            return replace(row, does="elsewhere", why=why)
        return replace(row, does="build")


def entry_of(row: Row, store: Store) -> Entry | None:
    """The install of a row, if there is one."""
    name = row.wanted.spec.name
    found = (e for e in store.entries(name) if e.module == row.module)
    return next(found, None)


def marks_of(row: Row) -> Collection[str]:
    """The states of the install of a row, if there is one."""
    entry = entry_of(row, Store.of(_configured(row.flags, row.wanted))) if row.module else None
    return entry.marks if entry else ()


@dataclass(frozen=True)
class Change:
    """A state of a version that is to be another one; without ``facts`` it is taken back."""

    row: Row
    mark: str
    facts: Mapping[str, str] | None
    why: str = ""

    @property
    def verb(self) -> str:
        """The verb that does it by hand."""
        name = {state.DEFAULT: "default", state.HIDDEN: "hide"}.get(self.mark, "deprecate")
        return name if self.facts is not None else f"{name} --undo"

    @property
    def text(self) -> str:
        """What is to be, for people."""
        if self.facts is None:
            return f"no longer {self.mark}"
        told = {"until": "until {}", "use": "use {}"}
        more = [told[key].format(value) for key, value in self.facts.items() if key in told]
        return f"{self.mark} {', '.join(more)}".strip()


def changes(rows: Sequence[Row], store: Store) -> list[Change]:
    """The states that differ between the stacks of a list in one root and reality."""
    found = []
    own = [row for row in rows if row.module and row.wanted.here]
    named = {row.module.partition("/")[0] for row in own if row.wanted.default}
    for row in own:
        entry = entry_of(row, store)
        marks = dict(entry.marks) if entry else {}
        wanted: dict[str, Mapping[str, str] | None] = {
            state.DEFAULT: {} if row.wanted.default else None,
            state.HIDDEN: {} if row.wanted.hidden else None,
            state.DEPRECATED: None,
        }
        if row.module.partition("/")[0] not in named:
            del wanted[state.DEFAULT]  # no list says which
        reason = ""
        if row.wanted.deprecated is not None:
            facts = {k: v for k, v in row.wanted.deprecated.items() if k != "reason"}
            reason = row.wanted.deprecated.get("reason", "")
            wanted[state.DEPRECATED] = facts
        if state.RETIRED in marks:
            continue
        for mark, said in wanted.items():
            why = reason if mark == state.DEPRECATED else ""
            there = marks.get(mark)
            if said is None and there is None:
                continue
            if said is not None and there is not None:
                old = {key: there[key] for key in ("until", "use") if key in there}
                if old == said and there.get("why", "") == why:
                    continue
            found.append(Change(row, mark, said, why))
    return found


def _check_defaults(rows: Sequence[Row]) -> None:
    """Raise ``ConfigError`` where two versions of a name are to be its default."""
    first: dict[tuple[Path, str], Row] = {}
    for row in rows:
        if row.recipe is None or not (row.wanted.default and row.wanted.here):
            continue
        other = first.setdefault((row.root, row.recipe.name), row)
        if other.module != row.module:
            raise ConfigError(
                f"{row.title} is to be the default of {row.recipe.name}, and so is {other.title} "
                f"({other.place})",
                remedy="take out 'default' of one of the two",
                where=row.wanted.where,
            )


def doubts(rows: Sequence[Row]) -> list[str]:
    """What users are told to use instead, and is neither named nor installed: a sentence for each.

    Raises ``ConfigError`` for what is to be used instead of itself.
    """
    found = []
    for row in rows:
        use = (row.wanted.deprecated or {}).get("use", "")
        if not use or row.recipe is None or not row.wanted.here:
            continue
        meant = {
            other.module
            for other in rows
            if other.root == row.root and other.recipe and _means(use, other.recipe)
        }
        with contextlib.suppress(TykkyError):  # it may be any text
            meant |= {e.module for e in Store.of(_configured(row.flags, row.wanted)).meant(use)}
        if meant == {row.module} or use.replace("@", "/") == row.module:
            cause = f"{row.title} is to be used instead of itself"
            remedy = "name another one with 'use' of 'deprecated'"
            raise ConfigError(cause, remedy=remedy, where=row.wanted.where)
        if not meant:
            told = "is not in this list and not installed; users are told of it as the list says"
            found.append(f"{row.place}: '{use}', to be used instead of {row.title}, {told}")
    return found


def _means(words: str, recipe: Stack) -> bool:
    """Whether a user's words mean what a recipe makes."""
    try:
        return _is(recipe, parse_one(words))
    except TykkyError:
        return False


def surplus(rows: Sequence[Row], store: Store) -> tuple[list[Entry], list[str]]:
    """The installs in a root that no list names, and a sentence for each that stays all the same.

    Whatever a list names stays, also for other hosts and architectures. What is not made of a
    recipe of the site, held or retired stays, and what others need that stay.
    """
    named = {row.module for row in rows}
    gone, kept = [], []
    for entry in store.entries():
        if entry.module in named or store.places not in Path(entry.prefix).parents:
            continue
        if state.RETIRED in entry.marks:
            continue
        if entry.kind == "extension":
            kept.append(f"{entry.module} stays: it was made by 'tykky extend'")
        elif any(mark.partition("#")[0] == state.HELD for mark in entry.marks):
            kept.append(f"{entry.module} stays: it is held")
        else:
            gone.append(entry)
    while True:
        going = {entry.prefix for entry in gone}
        needing = {
            entry.prefix: next(
                (t for t, prefix in store.dependents(entry).items() if prefix not in going), ""
            )
            for entry in gone
        }
        kept += [f"{e.module} stays: {t} needs it" for e in gone if (t := needing[e.prefix])]
        rest = [entry for entry in gone if not needing[entry.prefix]]
        if len(rest) == len(gone):
            return gone, kept
        gone = rest


def _configured(flags: Mapping[str, str], wanted: Wanted) -> Config:
    try:
        return Config.load(flags)
    except ConfigError as error:
        for key in ("root", *wanted.settings):  # which is how the list is handed on
            error.cause = error.cause.removesuffix(f" (set by -c {key})")
        raise _at(error, wanted) from None


def _at(error: TykkyError, wanted: Wanted) -> TykkyError:
    """An error of a stack, with its line of the list if it has no place of its own."""
    error.where = error.where or wanted.where
    return error


def _after(row: Row, before: Sequence[Row], config: Config) -> list[int]:
    """The indexes of the rows that one counts on."""
    assert row.recipe is not None
    counts = together.counts_on(row.recipe, config)
    return [
        number
        for number, other in enumerate(before)
        if other.root == row.root and other.recipe and any(_is(other.recipe, s) for s in counts)
    ]


def _is(recipe: Stack, spec: Spec) -> bool:
    version = f"{recipe.version}{recipe.suffix}"
    return recipe.name == spec.name and (
        spec.version in (None, version) or Version(str(recipe.version)).matches(str(spec.version))
    )


def _ordered(rows: list[Row]) -> list[Row]:
    """The rows with each behind those that it counts on; others stay as they were."""
    names = {row.recipe.name for row in rows if row.recipe}

    def needed(row: Row) -> list[Spec]:
        if row.recipe is None:
            return []
        try:
            counts = together.counts_on(row.recipe, _configured(row.flags, row.wanted))
        except TykkyError:
            return []  # which is told when it is looked at
        return [spec for spec in counts if spec.name in names]

    waits = [(row, needed(row)) for row in rows]
    done: list[Row] = []
    while waits:
        free = [
            (row, specs)
            for row, specs in waits
            if not any(
                other is not row
                and other.recipe
                and other.root == row.root
                and _is(other.recipe, s)
                for other, _ in waits
                for s in specs
            )
        ]
        free = free or waits[:1]  # they count on each other, which building them tells
        done += [row for row, _ in free]
        taken = {id(row) for row, _ in free}
        waits = [pair for pair in waits if id(pair[0]) not in taken]
    return done


def _without_mixed(rows: list[Row]) -> list[Row]:
    """Let those fail that would be made twice, or put two architectures into one place."""
    first: dict[tuple[Path, str], Row] = {}
    found: list[Row] = []
    for row in rows:
        error: TykkyError | None = None
        other = first.setdefault((row.root, row.module), row) if row.module else row
        if not other.wanted.here and row.wanted.here and other.arch != row.arch:
            first[(row.root, row.module)] = row
        elif other.arch != row.arch and row.wanted.here:
            cause = f"{row.title} for {other.arch} and for {row.arch} would be in the same place"
            remedy = "give each architecture a root of its own, 'root: /appl/{arch}', say"
            error = StoreError(cause, remedy=remedy, code=Exit.CONFLICT, where=row.wanted.where)
        elif other is not row and other.arch == row.arch:
            if row.does == "elsewhere":
                continue
            if other.does == "elsewhere":  # for another host; here, this one counts
                found.remove(other)
                first[(row.root, row.module)] = row
            else:
                cause = f"{row.title} is in the list twice, first at {other.place}"
                remedy = "remove one of the two"
                error = ConfigError(cause, remedy=remedy, where=row.wanted.where)
        found.append(replace(row, does="fails", error=error) if error else row)
    return found


def resources(row: Row, config: Config) -> dict[str, str]:
    """What the job of a build gets: of the configuration, the list, the recipe, and its entry.

    Raises ``RecipeError``.
    """
    given = {
        name: value
        for name in vars(config.slurm)
        if name not in ("architectures", "scratch") and (value := getattr(config.slurm, name))
    }
    own = guarded(row.recipe, "slurm") if row.recipe else {}
    found = {**given, **row.wanted.slurm_of_list, **own, **row.wanted.slurm}
    features = [found.get("constraint", ""), dict(config.slurm.architectures).get(row.arch, "")]
    if any(features):
        found["constraint"] = "&".join(f"({f})" if "|" in f else f for f in features if f)
    return found
