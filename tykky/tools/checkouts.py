"""Recipes that git has fetched: a commit of a repository, as files in a directory.

The directory has the commit in its name, is made beside and renamed, and has only what recipes are
made of: folders with a ``recipe.py``, and ``repo.yaml``. The files are written from what git has,
not checked out by it, so that nothing which a repository says of itself is run; and nobody may
write to them, so that they stay what the commit has.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import re
import stat
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tykky import trust
from tykky.config.remotes import Remote
from tykky.errors import ConfigError, Exit, RecipeError, explained
from tykky.files import discard
from tykky.repos.loading import RECIPE_FILE, REPOSITORY_FILE
from tykky.tools.git import Mirror

#: More bytes than a repository of recipes has.
_MOST = 256 << 20
#: Seconds that a verb waits for recipes which it only looks at.
_SOON = 60
#: Seconds after which nobody is at work on a new directory any more.
_OLD = 86400
_Tree = Mapping[str, tuple[str, str, int]]


def is_there(remote: Remote, cache: Path) -> bool:
    """Whether the recipes were fetched. Raises ``ConfigError`` if they are somebody else's."""
    folder = remote.folder(cache)
    try:
        status = folder.lstat()
    except OSError:
        return False
    if not stat.S_ISDIR(status.st_mode) or trust.is_foreign(status.st_uid):
        cause = f"{folder} is not what you have fetched, and cannot be trusted"
        raise ConfigError(cause, remedy="remove it, or set 'cache_dir' to a directory of yours")
    return True


def provide(remote: Remote, cache: Path, patience: int = _SOON) -> Path:
    """The directory with the recipes, which are fetched if they are not there.

    Raises ``TykkyError``.
    """
    folder = remote.folder(cache)
    if is_there(remote, cache):
        return folder
    mirror = Mirror(remote.address, cache)
    mirror.fetch(remote.commit, patience)
    tree = _recipes_of(mirror, remote)
    with explained("keep what git has fetched", "cache_dir"):
        folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        trust.check(folder.parent, "what is kept there", ConfigError, (os.geteuid(),))
        for left in folder.parent.glob(".new-*"):  # by one that was killed
            if time.time() - left.stat().st_mtime > _OLD:
                discard(left)
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        try:
            _write(new, tree, mirror)
            for above, _, _ in os.walk(new):
                Path(above).chmod(0o555)
            with contextlib.suppress(OSError):  # another was faster
                new.rename(folder)
        finally:
            if new.exists():
                discard(new)
    if not is_there(remote, cache):
        cause = f"{folder} cannot be made"
        raise ConfigError(cause, remedy="move away what is there", code=Exit.NOT_WRITABLE)
    return folder


def _recipes_of(mirror: Mirror, remote: Remote) -> _Tree:
    """What is kept of a commit. Raises ``ConfigError`` for what is no repository of recipes."""
    tree = mirror.tree(remote.commit, remote.path)
    is_recipe = re.compile(rf"([^/.][^/]*)/{re.escape(RECIPE_FILE)}")
    wanted = {found[1] for name in tree if (found := is_recipe.fullmatch(name))}
    if not wanted:
        every = [name for name in mirror.tree(remote.commit) if Path(name).name == RECIPE_FILE]
        deeper = {str(Path(name).parents[1]) for name in every if name.count("/") > 1}
        near = f"they are below '{min(deeper)}': --path {min(deeper)}" if deeper else ""
        cause = f"{remote.name} has no recipes{' in ' + remote.path if remote.path else ''}"
        remedy = near or f"a repository has a folder for each recipe, with a {RECIPE_FILE}"
        raise RecipeError(f"{cause} at {remote.commit[:12]}", remedy=remedy)
    kept = {
        name: facts
        for name, facts in tree.items()
        if name == REPOSITORY_FILE or name.partition("/")[0] in wanted
    }
    if sum(size for _, _, size in kept.values()) > _MOST:
        cause = f"{remote.name} has more than {_MOST >> 20} MiB beside its recipes"
        raise RecipeError(cause, remedy="keep large files elsewhere, and fetch them in a step")
    for name in kept:
        if any(part in ("", ".", "..") or part.lower() == ".git" for part in name.split("/")):
            raise RecipeError(f"{remote.name} has a file named {name!r}", remedy="do not use it")
    return kept


def _write(folder: Path, tree: _Tree, mirror: Mirror) -> None:
    """Write the files, then the links, so that no file goes through a link."""
    files = [name for name, facts in tree.items() if facts[0] in ("100644", "100755", "100664")]
    links = [name for name, facts in tree.items() if facts[0] == "120000"]
    for name, data in zip(files, mirror.blobs([tree[name][1] for name in files]), strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as stream:
            stream.write(data)
            os.fchmod(stream.fileno(), 0o555 if tree[name][0] == "100755" else 0o444)
    for name, data in zip(links, mirror.blobs([tree[name][1] for name in links]), strict=True):
        target = os.fsdecode(data)
        there = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
        if target.startswith("/") or target != posixpath.normpath(target) or there[:2] == "..":
            cause = f"the link {name} leads out of the repository, to {target!r}"
            raise RecipeError(cause, remedy="do not use it, or have it corrected")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)


def state_of(remote: Remote, recipe: Path, cache: Path) -> dict[str, str]:
    """``commit``, ``state`` and ``remote`` of a recipe's folder in what was fetched.

    The state is missing if it cannot be told.
    """
    found = {"commit": remote.commit, "remote": remote.address}
    inside = posixpath.join(remote.path, recipe.name)
    with contextlib.suppress(ConfigError, OSError):
        tree = Mirror(remote.address, cache).tree(remote.commit, inside)
        kind = hashlib.sha1 if len(remote.commit) == 40 else hashlib.sha256
        there = {
            str(path.relative_to(recipe)): path
            for path in recipe.rglob("*")
            if (path.is_symlink() or not path.is_dir()) and "__pycache__" not in path.parts
        }
        same = there.keys() == {name for name, facts in tree.items() if facts[0] != "160000"}
        for name, path in there.items() if same else ():
            data = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
            number = kind(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
            same = same and number == tree[name][1]
        found["state"] = "clean" if same else "dirty"
    return found


@dataclass(frozen=True)
class Changes:
    """Which recipes came, went and changed from one commit to another."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    def lines(self) -> Iterable[str]:
        """A line for each, for people."""
        for mark, names in (("+", self.added), ("-", self.removed), ("~", self.changed)):
            yield from (f"{mark} {name}" for name in names)


def compare(old: Remote, new: Remote, cache: Path) -> Changes:
    """How the recipes of two commits of one repository differ. Raises ``TykkyError``."""
    mirror, found = Mirror(new.address, cache), []
    for each in (old, new):
        mirror.fetch(each.commit)
        tree = mirror.tree(each.commit, each.path)
        folders: dict[str, dict[str, tuple[str, str, int]]] = {}
        for name, facts in tree.items():
            top, _, rest = name.partition("/")
            folders.setdefault(top, {})[rest] = facts
        found.append({top: files for top, files in folders.items() if RECIPE_FILE in files})
    before, after = found
    return Changes(
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(before.keys() - after.keys())),
        tuple(sorted(n for n in after.keys() & before.keys() if after[n] != before[n])),
    )
