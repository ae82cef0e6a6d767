"""The lock of a selected recipe: the one beside it, that of its present install, or a new one."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky import lock as locks
from tykky.errors import LockError, RecipeError, StoreError, Where, masked
from tykky.kinds import tree
from tykky.lock import Lock, Package
from tykky.recipe import recipe_code
from tykky.recipe.source import is_recipe, recipe_file, recipe_source
from tykky.repos.loading import check_trusted

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.kinds.stack import Stack
    from tykky.store import Place, Record

#: What was resolved by this process, by what it was resolved from.
_resolved: dict[str, Lock] = {}
_SECRET = "has a password or token in an address, for everybody to read with its lock and installs"
_OPEN = (
    "put the address into your configuration ('pip.index_url', 'conda.aliases'), or the password "
    "into a variable of your environment"
)


@dataclass(frozen=True)
class Settled:
    """The lock that counts, and whether it had to be made now.

    ``instead`` is the digest of the lock beside the recipe in whose place it is, if it is that of
    an update that could not be written there.
    """

    lock: Lock
    is_new: bool = False
    instead: str = ""


def fitting_lock(recipe: Stack, config: Config, arch: str) -> Lock | None:
    """The lock beside a selected recipe, or beside one that it extends; ``None`` without one.

    Raises ``LockError`` if the recipe's own lock was made for other requirements.
    """
    asked = locks.digest_of(_asked(recipe, config, arch))
    own = locks.path_of(recipe, arch)
    path = recipe.beside(str(own.relative_to(recipe.directory)))
    if path.exists():
        check_trusted(path, "the lock")
        if (lock := locks.read(path)).asked_digest == asked:
            return lock
    # The lock of a recipe that this one extends need not fit; its own must.
    if own.exists():
        raise LockError(
            f"the lock of {recipe.spec} no longer fits its recipe ({own})",
            remedy=f"make it anew with 'tykky lock {recipe.spec}'",
        )
    return None


def beside(recipe: Stack, arch: str) -> str:
    """The digest of the lock beside a recipe, or beside one that it extends, if one can be read."""
    own = locks.path_of(recipe, arch)
    with contextlib.suppress(LockError):
        return locks.read(recipe.beside(str(own.relative_to(recipe.directory)))).digest
    return ""


def _installed_lock(
    recipe: Stack, config: Config, arch: str, place: Place
) -> tuple[Lock | None, str]:
    """The lock that the present install of the same selection kept, if it still fits.

    And in whose place it is (see ``Settled``). So a recipe without a lock beside it gives the same
    install again, not a newer one; unless what it was built from has changed.
    """
    asked = locks.digest_of(_asked(recipe, config, arch))
    # If something of it is damaged, that is not for its successor to say.
    with contextlib.suppress(LockError, StoreError):
        lock, record = locks.read(place.generation() / "lock.json"), place.record()
        whole = lock.digest == record.lock
        if whole and lock.asked_digest == asked and has_same_inputs(record):
            return lock, record.instead
    return None, ""


def has_same_inputs(record: Record) -> bool:
    """Whether the files outside of the recipe that a build has read are as they were."""
    return all(tree.manifest(Path(path)) == digest for path, digest in record.read.items())


def fresh_lock(
    recipe: Stack,
    config: Config,
    arch: str,
    old: Lock | None = None,
    only: Collection[str] = (),
) -> Lock:
    """Resolve a selected recipe now. Raises ``TykkyError`` if that cannot be done.

    With ``old``, the lock of its install, this is an update: of ``only`` the named packages, if
    there are some.
    """
    asked = _asked(recipe, config, arch)
    held = [p for p in old.packages if only and p.name not in only] if old else None
    with recipe_code(recipe, "resolve"):
        packages = [*recipe.resolve(config, arch, held)]
    # The same release, of which the index may have another file by now.
    kept = {(p.name, p.version, p.build): p for p in held or ()}
    packages = [kept.get((p.name, p.version, p.build), p) for p in packages]
    if old is not None and not different(old.packages, packages):
        packages = [*old.packages]
    return Lock(recipe.name, str(recipe.version), recipe.suffix, arch, asked, tuple(packages))


def settled_lock(
    recipe: Stack,
    config: Config,
    arch: str,
    place: Place,
    say: Callable[[str], None],
    *,
    look_only: bool = False,
) -> Settled:
    """The lock that counts. Raises ``TykkyError``.

    With ``look_only``, none is made for which code of packages would have to be run.
    """
    known = known_lock(recipe, config, arch, place)
    if known is not None:
        return known
    if look_only and (source := getattr(recipe, "source", ())) and isinstance(source, tuple):
        raise LockError(
            f"{recipe.spec} is not locked, and what it needs can only be told by running code "
            f"of {', '.join(source)}",
            remedy=f"lock it first, which does that in a box: tykky lock {recipe.spec}",
        )
    say("resolving, since there is no lock")
    key = locks.digest_of([str(recipe.spec), arch, _asked(recipe, config, arch)])
    if key not in _resolved:  # the same for who has asked before whether it can be
        _resolved[key] = fresh_lock(recipe, config, arch)
    return Settled(_resolved[key], is_new=True)


def known_lock(recipe: Stack, config: Config, arch: str, place: Place) -> Settled | None:
    """The lock that counts, if it need not be made. Raises ``LockError``.

    That is the one beside the recipe; what an update has chosen counts as long as that is the one
    that it was made in place of.
    """
    kept, instead = _installed_lock(recipe, config, arch, place)
    if kept and instead and instead == beside(recipe, arch):
        return Settled(kept, instead=instead)
    lock = fitting_lock(recipe, config, arch) or kept
    return Settled(lock) if lock is not None else None


def has_packages(recipe: Stack, config: Config, arch: str) -> bool:
    """Whether there is anything to be resolved."""
    return any(_asked(recipe, config, arch).values())


def different(old: Iterable[Package], new: Iterable[Package]) -> bool:
    """Whether two locks name other files, whatever else they tell of them."""
    one, other = ({(p.name, p.version, p.build, p.sha256) for p in each} for each in (old, new))
    return one != other


def _asked(recipe: Stack, config: Config, arch: str) -> Any:
    with recipe_code(recipe, "packages"):
        asked = recipe.asked(config, arch)
    if is_recipe(type(recipe)):
        _check_open(recipe, asked)
    return asked


def _check_open(recipe: Stack, asked: Mapping[str, Any]) -> None:
    """Raise ``RecipeError`` for passwords and tokens: a recipe and its lock are for everybody."""
    values = ([value] if isinstance(value, str) else value for value in asked.values())
    texts = {str(text): Where(recipe.file) for group in values for text in group}
    for each in filter(is_recipe, type(recipe).__mro__):
        source = (recipe_source(each) or b"").decode(errors="replace")
        lines = enumerate(source.splitlines(), 1)
        texts |= {line: Where(recipe_file(each), number) for number, line in lines}
    for text, where in texts.items():
        # What comes from a variable, "https://{user}:{password}@host", is not in the recipe.
        text = re.sub(r"\$?\{[^{}]*\}|\$\w+", "<>", text)
        if masked(text) != text:
            raise RecipeError(f"{recipe.name} {_SECRET}", remedy=_OPEN, where=where)
