"""A new recipe's folder: made whole beside its place, which it then gets by one rename."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tykky.config import Config
from tykky.errors import Exit, RecipeError, SpecError, TykkyError, Where, explained, from_os_error
from tykky.files import discard
from tykky.repos.loading import RECIPE_FILE, is_name, is_own

#: How the folder begins in which a recipe is made; no repository takes it for one of its own.
_NEW = ".create-"


def repository(config: Config, given: str = "") -> Path:
    """Where a new recipe goes: the repository that is ``given``, or the first of those configured
    that one may write to, else the root's own. Raises ``RecipeError`` if there is none.
    """
    if given:
        path = Path(os.path.abspath(os.path.expanduser(given)))  # noqa: PTH100, PTH111
        if path.is_dir() and os.access(path, os.W_OK | os.X_OK):
            return path
        why = "is not writable" if path.is_dir() else "is no directory"
        remedy = f"make it, or choose another: mkdir -p {path}"
        raise RecipeError(f"the repository {path} {why}", remedy=remedy, code=Exit.NOT_WRITABLE)
    if usable := [path for path in config.repos if is_own(path)]:
        return usable[0]
    own = config.root / "recipes"
    there = next(path for path in (own, *own.parents) if path.exists())
    if os.access(there, os.W_OK | os.X_OK) and there.is_dir():
        return own
    raise RecipeError(
        "there is no recipe repository that you may write to",
        remedy="make one: mkdir -p ~/recipes && tykky repo add ~/recipes",
        code=Exit.NOT_WRITABLE,
    )


def check_free(repo: Path, name: str) -> None:
    """Raise ``TykkyError`` if a repository cannot have a new recipe of that name."""
    if not is_name(name):
        remedy = "it has lower case letters, digits, '-' and '_': my-stack"
        raise SpecError(f"'{name}' cannot be the name of a recipe", remedy=remedy)
    folder = repo / name
    if os.path.lexists(folder):
        what = "a recipe" if (folder / RECIPE_FILE).exists() else "something"
        where = Where(folder / RECIPE_FILE) if what == "a recipe" else None
        remedy = "choose another name, or move it away"
        raise RecipeError(
            f"there is {what} '{name}' already in {repo}, and nothing is overwritten",
            remedy=f"{remedy}; 'tykky edit {name}' changes it" if where else remedy,
            where=where,
            code=Exit.CONFLICT,
        )


@dataclass(frozen=True)
class Draft:
    """A recipe that is being made: ``folder`` is all there is in the repository ``top``."""

    top: Path
    folder: Path
    target: Path

    def write(self, text: str, files: Mapping[str, bytes]) -> None:
        """Write the recipe and what lies beside it."""
        with explained(f"write the recipe {self.target.name}", "repos"):
            for name, content in {**files, RECIPE_FILE: text.encode()}.items():
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)

    def moved(self, error: TykkyError) -> TykkyError:
        """An error whose place is told where it will be."""
        if error.where is not None and error.where.path.is_relative_to(self.folder):
            path = self.target / error.where.path.relative_to(self.folder)
            error.where = replace(error.where, path=path)
        return error

    def publish(self) -> None:
        """Give it its place. Raises ``TykkyError`` if that was taken meanwhile."""
        try:
            self.folder.rename(self.target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                check_free(self.target.parent, self.target.name)
            raise from_os_error(error, f"write the recipe {self.target}", "repos") from error


@contextlib.contextmanager
def draft(repo: Path, name: str) -> Iterator[Draft]:
    """A folder for a new recipe, gone again unless it is published; and those of the killed."""
    with explained(f"make the recipe {name} in {repo}", "repos"):
        repo.mkdir(parents=True, exist_ok=True)
        for old in repo.glob(f"{_NEW}*"):
            _sweep(old)
        top = repo / f"{_NEW}{secrets.token_hex(4)}"
        top.mkdir()
    with _held(top):
        try:
            (top / name).mkdir()
            yield Draft(top, top / name, repo / name)
        finally:
            discard(top)


def _sweep(old: Path) -> None:
    """Remove what a killed call has left, unless one is at work in it."""
    with contextlib.suppress(OSError), _held(old) as held:
        if held and old.stat().st_uid == os.geteuid():
            discard(old)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold the lock of a folder, where the file system has such; whether it is held."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(number)
