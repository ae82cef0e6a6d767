"""Extending an install by packages of one's own: the small recipe of that, and where it goes.

The recipe is data, so that it can be read without running it and be written anew with more
packages. One in which a person has written anything else is left alone.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import bases
from tykky import lock as locks
from tykky.build import locking
from tykky.conda.environment import checked, names_of
from tykky.errors import (
    Exit,
    LockError,
    RecipeError,
    SpecError,
    StoreError,
    TykkyError,
    Where,
    explained,
)
from tykky.files import make_folder, text_at, write_file
from tykky.host import real
from tykky.kinds.pip import check_requirement
from tykky.repos import loading
from tykky.spec import is_path, parse_one
from tykky.store import Permissions, Place, Record, Store, roots, state
from tykky.text import entries, read_text

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from tykky.build.locking import Settled
    from tykky.config import Config
    from tykky.kinds.stack import Stack

#: The kind of the recipes that are written here.
KIND = "extension"
_HEAD = """\
# Made by 'tykky extend', which adds to 'packages' when it is called again. To take some out, remove
# them here, and run 'tykky install {name}'.
from tykky import {kind}


class {title}({kind}):
    \"\"\"{about}\"\"\"

"""
_KINDS = ("Extension", "CondaExtension")
_ORDER = (
    *("homepage", "license", "versions", "base", "python", "packages", "pip"),
    *("family", "setenv", "shadows"),
)
_ABOUT = re.compile(r"\S+ with [^\n]*\.")
_PYTHON = re.compile(r"python3\.(\d+)")


@dataclass(frozen=True)
class Sheet:
    """What the recipe of an extension says; ``packages`` are requirements, as pip writes them.

    With ``conda`` packages, it is of the kind that has these.
    """

    homepage: str
    license: str
    versions: str
    base: str
    python: str
    packages: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    family: str = ""
    setenv: Mapping[str, str] = field(default_factory=dict)
    shadows: bool = False

    @property
    def stack(self) -> str:
        """The words by which the stack is found that it is on."""
        return self.base.removeprefix("stack:")

    @property
    def name(self) -> str:
        """The name of that stack."""
        return Path(self.stack).parent.name if is_path(self.stack) else parse_one(self.stack).name

    def text(self, name: str) -> str:
        """The recipe, under a name."""
        names = [*dict.fromkeys([*map(conda_name, self.conda), *map(project, self.packages)])]
        some = names if len(names) < 6 else [*names[:4], f"{len(names) - 4} more"]
        title = "".join(part.capitalize() for part in re.split("[-_]", name))
        head = _HEAD.format(
            name=name,
            kind=_KINDS[bool(self.conda)],
            title=title if title[:1].isalpha() else f"My{title}",
            about=f"{self.name}/{self.versions} with {', '.join(some) or 'nothing more'}.",
        )
        optional = ("pip", "conda", "family", "setenv", "shadows")
        said = vars(self) | ({"packages": self.conda, "pip": self.packages} if self.conda else {})
        values = {key: said[key] for key in _ORDER if said.get(key) or key not in optional}
        return head + "".join(f"    {key} = {_code(value)}\n" for key, value in values.items())


def _code(value: object) -> str:
    """A value as a person writes it in a recipe."""
    if isinstance(value, tuple):
        written = ", ".join(map(_code, value))
        if value and len(written) < 80:
            return written
        return "(\n" + "".join(f"        {_code(each)},\n" for each in value) + "    )"
    return str(value) if isinstance(value, bool) else json.dumps(value, ensure_ascii=False)


def read(file: Path) -> Sheet | None:
    """What the recipe of an extension says; ``None`` if it is none, or a person's own by now."""
    text = text_at(file)
    with contextlib.suppress(SyntaxError, ValueError, TypeError, AttributeError, RecursionError):
        imported, cls = ast.parse(text).body
        assert isinstance(imported, ast.ImportFrom)
        assert isinstance(cls, ast.ClassDef)
        about, *fields = cls.body
        values = {each.targets[0].id: ast.literal_eval(each.value) for each in fields}  # type: ignore[attr-defined]
        for key in {"packages", "pip"} & {*values}:
            listed = values[key]
            values[key] = (listed,) if isinstance(listed, str) else tuple(listed)
        kind = ast.unparse(cls.bases[0])
        if kind == _KINDS[True]:
            values |= {"conda": values["packages"], "packages": values.pop("pip", ())}
        sheet = Sheet(**values)
        head, own = (
            [ast.unparse(imported), kind in _KINDS, len(cls.bases), _comments(text)],
            [f"from tykky import {kind}", True, 1, 2],
        )
        if head == own and _ABOUT.fullmatch(about.value.value) and not cls.decorator_list:  # type: ignore[attr-defined]
            return sheet
    return None


def _comments(text: str) -> int:
    return sum(line.lstrip().startswith("#") for line in text.splitlines())


# -- what is asked for ----------------------------------------------------------------------


def asked(words: Sequence[str], files: Sequence[Path]) -> tuple[str, ...]:
    """The requirements that are named, and those of files of them. Raises ``RecipeError``."""
    found = []
    for text in words:
        check_requirement(text, Where(Path("the command line")))
        found.append(text)
    for path in files:
        text = read_text(path, "requirements file", RecipeError, any_bytes=True)
        for number, wanted in entries(text, path, RecipeError):
            check_requirement(wanted, Where(path, number))
            found.append(wanted)
    return merged((), found)


def merged(
    old: Iterable[str], new: Iterable[str], name_of: Callable[[str], str] | None = None
) -> tuple[str, ...]:
    """All requirements, sorted by project; the new ones of a project instead of the old ones.

    There may be several, for one Python each.
    """
    name, asked = name_of or project, dict.fromkeys(new)
    anew = {*map(name, asked)}
    kept = (text for text in old if name(text) not in anew)
    return tuple(sorted((*kept, *asked), key=name))


def project(text: str) -> str:
    """The project that a requirement is for, or the file that it names instead."""
    wanted = _parsed(text)
    return locks.canonical(wanted.name) if wanted else Path(text.partition(" ")[0]).name


def asked_of_conda(words: Sequence[str]) -> tuple[str, ...]:
    """The conda packages that are named. Raises ``RecipeError``."""
    return merged(
        (), [checked(text, Where(Path("the command line"))) for text in words], conda_name
    )


def conda_name(spec: str) -> str:
    """The name of a conda package in a spec."""
    return next(iter(names_of([spec])), spec)


def _parsed(text: str) -> Requirement | None:
    from packaging.requirements import InvalidRequirement, Requirement

    with contextlib.suppress(InvalidRequirement):
        return Requirement(text.partition(" --")[0])
    return None


def is_there(text: str, packages: Mapping[str, str]) -> bool:
    """Whether a requirement is satisfied by one of the packages of a stack."""
    there = {locks.canonical(name): version for name, version in packages.items()}
    wanted = _parsed(text)
    if wanted is None or wanted.url or wanted.extras:
        return False
    version = there.get(locks.canonical(wanted.name))
    return version is not None and wanted.specifier.contains(version, prereleases=True)


# -- what is extended -----------------------------------------------------------------------


def find(words: str, stores: Sequence[Store]) -> Record:
    """The install that is to be extended: the default of what the words mean, in any root.

    Raises ``StoreError`` if there is none.
    """
    if is_path(words):
        place = Place(real(Path(words)))
    else:
        spec = parse_one(words)
        there, where = roots.match(stores, spec)
        chosen = roots.defaults(there, where)
        place = Place(Path(chosen.pop() if chosen else stores[0].one(words).prefix))
    place.check_open()
    return place.record()


def check(record: Record, name: str, *, conda: bool = False) -> None:
    """Raise ``StoreError`` if nothing of that name can be put on top of an install."""
    launch, why, remedy = record.launch, "", "'tykky find' shows what else there is"
    if facts := record.marks.get(state.RETIRED):
        why = "is retired" + (f": {facts['why']}" if facts.get("why") else "")
        remedy = f"use {facts['use']}" if facts.get("use") else remedy
    elif not record.has_module:
        why = "was made by a classic command, and its contents are not where it lies"
        remedy = "add the packages to it with the 'update' of that command"
    elif not record.images:
        why = "is a wrapped container, which has no image of its own to put anything on"
        remedy = f"make a pip stack on that container: base = {launch.get('root', '')!r}"
    elif conda and record.kind != "conda" and record.kind != KIND:
        why = f"is a {record.kind} stack, and conda packages go on top of a conda stack"
        remedy = "ask for it as Python has it, without --conda"
    elif not conda and not python_of(record):
        why = "has no Python of its own"
    elif record.base["digest"] in record.needed.values():
        why = f"is on top of another stack itself, {record.base['name']}"
        remedy = "extend that stack, with the packages of both"
    elif launch.get("isolation", "open") != "open" and not launch.get("root"):
        why = f"is entered isolated ({launch['isolation']}), and nothing else can be with it"
    elif record.name == name:
        why, remedy = "cannot be extended by its own name", "choose another one: --name NAME"
    if why:
        what = record.module if record.has_module else record.prefix
        raise StoreError(f"{what} {why}", remedy=remedy, code=Exit.CONFLICT)


def python_of(record: Record) -> str:
    """The newest Python that a stack has of its own, as ``3.11``; empty if it has none."""
    found = [int(m[1]) for name in record.programs if (m := _PYTHON.fullmatch(name))]
    return f"3.{max(found)}" if found else ""


def reference(record: Record, store: Store) -> str:
    """How a recipe of a root names a stack as its base: by name, if that means the same there."""
    words = f"{record.name}@{record.version}" if not record.suffix else record.module
    with contextlib.suppress(StoreError):
        if roots.having(store, words).one(words).prefix == record.prefix:
            return f"stack:{words}"
    return f"stack:{record.prefix}"


def sheet_of(
    base: Record,
    store: Store,
    old: Sheet | None,
    packages: Iterable[str],
    conda: Iterable[str] = (),
    *,
    shadows: bool,
) -> Sheet:
    """The recipe of an extension of a stack, for a root: what it had already, and more packages."""
    return Sheet(
        base.homepage,
        base.license,
        f"{base.version}{base.suffix}",
        reference(base, store),
        python_of(base),
        merged(old.packages if old else (), packages),
        merged(old.conda if old else (), conda, conda_name),
        base.shown.get("family", ""),
        dict(base.shown.get("setenv", {})),
        shadows or (old is not None and old.shadows),
    )


def kept(name: str, store: Store) -> Sheet | None:
    """What the newest extension of that name was made from, if its recipe is gone."""
    found = [e for e in store.entries(name) if e.kind == KIND]
    return read(Place(Path(found[-1].prefix)).generation() / "recipe/recipe.py") if found else None


def needs_of(name: str, version: str, store: Store) -> tuple[str, ...]:
    """What an extension needs by now, if it is there."""
    found = (e.needs for e in store.entries(name) if f"{e.version}{e.suffix}" == version)
    return next(found, ())


# -- where it goes --------------------------------------------------------------------------


def root_for(config: Config) -> Path | None:
    """The root that an extension goes into: the first of those configured that one may write to.

    ``None`` if there is none. One that is named by ``--root`` is taken in any case.
    """
    if config.origin("root").scope == "flags":
        return config.root
    every = dict.fromkeys([config.root, *(path for _, path in config.roots)])
    return next((root for root in every if _may_write(root, new=root == config.root)), None)


def _may_write(root: Path, *, new: bool) -> bool:
    """Whether one may install into a root, which need not be there yet if it may be ``new``."""
    if not (new or root.is_dir()):
        return False  # it may not be mounted
    for path in (root / "store", root / "db"):
        there = next(each for each in (path, *path.parents) if each.exists())
        if not os.access(there, os.W_OK | os.X_OK):
            return False
    return True


def folder_for(name: str, config: Config, paths: Sequence[Path]) -> Path:
    """The folder of an extension's recipe: that of the name, or one in a repository of one's own.

    That is the first of the repositories that one may write to, else the root's own. Raises
    ``RecipeError`` if the name is no name, or another recipe's.
    """
    if not loading.is_name(name):
        remedy = "it has lower case letters, digits, '-' and '_': --name my-stack"
        raise SpecError(f"'{name}' cannot be the name of a stack", remedy=remedy)
    usable = [path for path in paths if loading.is_own(path)]
    for path in paths:
        if os.path.lexists(path / name / loading.RECIPE_FILE):
            file = path / name / loading.RECIPE_FILE
            if path not in usable or read(file) is None:
                raise RecipeError(
                    f"there is a recipe '{name}' already, which is not as 'tykky extend' makes one",
                    remedy="choose another name (--name NAME), or add the packages to it by hand",
                    where=Where(file),
                    code=Exit.CONFLICT,
                )
            return path / name
    return (usable[0] if usable else config.root / "recipes") / name


def check_free(name: str, store: Store) -> None:
    """Raise ``StoreError`` if a root has installs by the name that are no extensions."""
    for entry in store.entries(name):
        if entry.kind != KIND:
            raise StoreError(
                f"{entry.module} is installed already in {store.root}, and is no extension",
                remedy="choose another name: --name NAME",
                code=Exit.CONFLICT,
            )


# -- carrying it out ------------------------------------------------------------------------


@contextlib.contextmanager
def written(
    folder: Path, waiting: Callable[[str], None]
) -> Iterator[tuple[Sheet | None, Callable[[str], None]]]:
    """What the recipe in a folder says, and what writes it; as it was if something fails.

    Nobody else extends the same meanwhile, where the file system has locks.
    """
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    file = folder / loading.RECIPE_FILE
    with explained(f"write the recipe {file}", "repos"), _alone(folder, waiting):
        before = file.read_bytes() if file.exists() else None
        try:
            yield read(file), lambda text: write_file(file, text.encode(), Permissions())
        except BaseException:
            with contextlib.suppress(OSError):
                if before is not None:
                    write_file(file, before, Permissions())
                else:
                    file.unlink(missing_ok=True)
                for path in new:
                    path.rmdir()
            raise


@contextlib.contextmanager
def _alone(folder: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock on a folder, which is made; one that another has removed meanwhile is again."""
    while True:
        make_folder(folder, Permissions())
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(OSError):  # where there are no locks
                try:
                    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    waiting(f"{folder.name} is being extended by somebody else; waiting")
                    fcntl.flock(number, fcntl.LOCK_EX)
            if folder.exists() and os.path.samestat(os.fstat(number), folder.stat()):
                yield
                return
        finally:
            os.close(number)


def settled(
    recipe: Stack, config: Config, place: Place, names: Iterable[str]
) -> tuple[Settled, locks.Lock | None]:
    """The lock of an extension to which ``names`` were added, and the one that it had.

    What it had stays, if it can. Raises ``TykkyError``.
    """
    arch, old = bases.arch(), None
    with contextlib.suppress(LockError, StoreError):
        old = locks.read(place.generation() / "lock.json") if place.current else None
    if old is not None and names:
        with contextlib.suppress(TykkyError):
            lock = locking.fresh_lock(recipe, config, arch, old, {*names})
            return locking.Settled(lock), old
    return locking.Settled(locking.fresh_lock(recipe, config, arch)), old
