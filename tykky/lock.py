"""Locks: the exact inputs of one selected recipe on one architecture.

A lock lies beside its recipe, ``locks/<version><suffix>-<arch>.json``, and names every
package with its version, file and sha256. What was *asked* when it was made (the
requirements, the Python version, the platform) is in it too, as a digest, so that a lock
that no longer fits its recipe is noticed before anything is built.

The file is JSON with one package a line, so that a version control system shows a change
as a change of those lines only.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from tykky.contents import canonical as canonical
from tykky.errors import LockError, Where
from tykky.files import read_json

if TYPE_CHECKING:
    from tykky.contents import Installed
    from tykky.recipe import Recipe

#: What can be compared: a package that is to be installed, or is.
Named: TypeAlias = "Package | Installed"

FORMAT = 1


@dataclass(frozen=True, order=True)
class Package:
    """One file that goes into a stack. ``size`` is in bytes, 0 where it is not known.

    A conda package also has the ``url`` it is at, its ``build`` and its ``license``; an R package
    the first and the last of these. They are empty for a package that is found by its name.
    """

    name: str
    version: str
    file: str
    sha256: str
    size: int = 0
    build: str = ""
    url: str = ""
    license: str = ""

    @property
    def is_conda(self) -> bool:
        """Whether it is a conda package."""
        return bool(self.url and self.build)

    @property
    def is_r(self) -> bool:
        """Whether it is an R package: repositories of these have all in one folder."""
        return "/src/contrib/" in self.url and not self.build

    @property
    def channel(self) -> str:
        """The address of the channel that a conda package is from."""
        return self.url.rsplit("/", 2)[0]


@dataclass(frozen=True)
class Lock:
    """Every package of one selected recipe on one architecture.

    ``asked`` is what the packages were resolved from (requirements, Python, platform ...):
    a mapping of strings and lists of strings.
    """

    recipe: str
    version: str
    suffix: str
    arch: str
    asked: Mapping[str, Any]
    packages: tuple[Package, ...]

    @property
    def digest(self) -> str:
        """The sha256 of the canonical text: two locks are equal if their digests are."""
        return hashlib.sha256(render(self).encode()).hexdigest()

    @property
    def asked_digest(self) -> str:
        """The sha256 of what was asked, to notice that the recipe has changed since."""
        return digest_of(self.asked)


@dataclass(frozen=True)
class Difference:
    """How one lock differs from another: names to versions, old and new."""

    added: Mapping[str, str]
    removed: Mapping[str, str]
    changed: Mapping[str, tuple[str, str]]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    @property
    def count(self) -> int:
        """How many packages differ."""
        return len(self.added) + len(self.removed) + len(self.changed)

    def lines(self) -> Iterator[str]:
        """What people read: one line a package, with a sign before what is new or gone."""
        for sign, packages in (("+", self.added), ("-", self.removed)):
            for name, version in sorted(packages.items()):
                yield f"{sign} {name} {version}"
        for name, (before, after) in sorted(self.changed.items()):
            yield f"  {name} {before} -> {after}"


def digest_of(value: Any) -> str:
    """The sha256, in hex, of a JSON-like value in its canonical spelling."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """What JSON has for a value of another type: mappings and sequences keep their shape."""
    if isinstance(value, Mapping):
        return dict(value)
    return sorted(value) if isinstance(value, set | frozenset) else list(value)


def path_of(recipe: Recipe, arch: str) -> Path:
    """Where the lock of a selected recipe lies (whether or not it is there)."""
    return recipe.directory / "locks" / f"{recipe.version}{recipe.suffix}-{arch}.json"


def render(lock: Lock) -> str:
    """The text of a lock file: stable, one package a line."""
    head = {
        "format": FORMAT,
        "recipe": lock.recipe,
        "version": lock.version,
        "suffix": lock.suffix,
        "arch": lock.arch,
        "asked": dict(sorted(lock.asked.items())),
    }
    above = json.dumps(head, indent=2, default=list).removesuffix("\n}")
    rows = ",\n".join(f"    {json.dumps(_row(package))}" for package in sorted(lock.packages))
    return f'{above},\n  "packages": [\n{rows}\n  ]\n}}\n'


def _row(package: Package) -> dict[str, Any]:
    """The fields of a package; of those that only some have, what there is."""
    row = asdict(package)
    return {k: v for k, v in row.items() if v or k not in ("build", "url", "license")}


def read(path: Path) -> Lock:
    """The lock at ``path``.

    Raises ``LockError`` if it is not there, is damaged, or is of a format this Tykky does
    not know.
    """
    cause, where, remedy = "", None, "make it anew with 'tykky lock'"
    try:
        data = read_json(path)
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            cause, where = "the lock has a format that this Tykky does not know", Where(path, 2)
        else:
            packages = tuple(Package(**package) for package in data.pop("packages"))
            lock = Lock(**data, packages=packages)
            _check_types(lock)
            return lock
    except FileNotFoundError:
        cause = f"there is no lock {path}"
    except OSError as error:
        cause = f"the lock {path} cannot be read: {error.strerror}"
        remedy = "ask its owner, whom 'ls -l' shows, to run 'chmod a+r' on it"
    except ValueError as error:
        cause = f"the lock is not valid JSON: {error}"
        where = Where(path, getattr(error, "lineno", 0))
    except (KeyError, TypeError) as error:
        cause = f"the lock {path} lacks a field, or has another in its place: {error}"
    raise LockError(cause, where=where, remedy=remedy)


def _check_types(lock: Lock) -> None:
    """Raise ``TypeError`` if a lock has something else where it has texts."""
    texts = [lock.recipe, lock.version, lock.suffix, lock.arch]
    for package in lock.packages:
        texts += [value for name, value in asdict(package).items() if name != "size"]
    if not isinstance(lock.asked, dict) or not all(isinstance(text, str) for text in texts):
        raise TypeError("what should be text is none")
    if not all(type(package.size) is int for package in lock.packages):
        raise TypeError("a size is no number")


def write(lock: Lock, path: Path) -> None:
    """Write a lock, by a temporary file and a rename."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(render(lock), encoding="utf-8")
        # Who may read the recipe may read its lock, whatever the umask of who locks it.
        recipe = path.parent.parent / "recipe.py"
        if recipe.exists():
            temporary.chmod(recipe.stat().st_mode & 0o666)
            if path.parent.stat().st_uid == temporary.stat().st_uid:
                path.parent.chmod(recipe.parent.stat().st_mode & 0o7777)
        temporary.replace(path)
    except OSError as error:
        raise LockError(
            f"the lock {path} cannot be written: {error.strerror}",
            remedy="copy the recipe into a repository of your own: 'tykky config set repos DIR'",
        ) from error


def compare(old: Lock, new: Lock) -> Difference:
    """What changed between two locks, by package name."""
    return difference(old.packages, new.packages)


#: What in a lock's ``asked`` are packages, and how each begins with its name.
_ASKED = ("requirements", "specs", "pip", "packages")
_NAME = re.compile(r"(?:[^\s:]+::)?([A-Za-z0-9][A-Za-z0-9._-]*)")


def asked_names(lock: Lock) -> tuple[str, ...]:
    """The names of the packages that the recipe asks for, as it writes them, sorted."""
    texts = (str(text) for key in _ASKED for text in lock.asked.get(key, ()))
    return tuple(sorted({found[1] for text in texts if (found := _NAME.match(text.strip()))}))


def difference(old: Iterable[Named], new: Iterable[Named]) -> Difference:
    """What changed between two sets of packages, by their names.

    A package of the same version but another build, or else another file, counts as changed; then,
    and only then, that is told as well. Names are spelt as package indexes do.
    """
    before = {canonical(package.name): package for package in old}
    after = {canonical(package.name): package for package in new}
    changed = {}
    for name in before.keys() & after.keys():
        one, other = before[name], after[name]
        if one.version != other.version:
            changed[name] = one.version, other.version
        elif one.build != other.build:
            told = (f"{each.version} ({each.build or 'no build'})" for each in (one, other))
            changed[name] = next(told), next(told)
        else:
            digests = [getattr(each, "sha256", "")[:8] for each in (one, other)]
            if all(digests) and digests[0] != digests[1]:
                told = (f"{one.version} (sha256 {digest})" for digest in digests)
                changed[name] = next(told), next(told)
    return Difference(
        added={name: after[name].version for name in after.keys() - before.keys()},
        removed={name: before[name].version for name in before.keys() - after.keys()},
        changed=changed,
    )
