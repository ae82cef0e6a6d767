"""Whether the directories that the configuration names can be used as they must be."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tykky import console
from tykky.config import Config
from tykky.doctor import Finding
from tykky.errors import ConfigError, TykkyError
from tykky.files import Permissions
from tykky.store import Store
from tykky.store.roots import searched
from tykky.tools.overlay import layers_work
from tykky.tools.scratch import own_folder
from tykky.trust import Opening, opening


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that can be seen: where it would be made."""
    while not os.access(path, os.F_OK) and path != path.parent:
        path = path.parent
    return path


def writable(path: Path) -> bool:
    """Whether files can be made in this directory."""
    return os.access(path, os.R_OK | os.W_OK | os.X_OK) and path.is_dir()


def root(config: Config) -> Finding:
    """Whether stacks can be put into the root."""
    path, place = config.root, existing(config.root)
    if writable(place):
        return "ok", f"{path} {'can be written' if place == path else 'will be made'}"
    remedy = f"set another root, or ask who owns {place}; you can run what is installed there"
    return "no", f"{path} cannot be {'written' if place == path else 'made'}", remedy


def roots(config: Config) -> Finding | None:
    """Whether all roots in which installs are looked for can be read, if there are several."""
    store = Store.of(config)
    found, problems = searched(store)
    if problems:
        return "limited", "; ".join(problems), "'tykky config why roots' tells who names them"
    return ("ok", ", ".join(each.title for each in found)) if store.others else None


def execution(config: Config) -> Finding:
    """Whether programs in the root may run."""
    place = existing(config.root)
    if os.statvfs(place).f_flag & os.ST_NOEXEC:
        remedy = "set a root on a file system that is mounted without 'noexec'"
        return "no", f"{place} is mounted with noexec", remedy
    return "ok", "can be executed"


def locks(config: Config) -> Finding:
    """Whether file locks in the root do what they should."""
    place = existing(config.root)
    if not writable(place):
        return "limited", "not tried: it cannot be written"
    try:
        with tempfile.TemporaryFile(dir=place) as stream:
            if _lock_excludes(stream.fileno()):
                return "ok", "work"
    except OSError as error:
        remedy = "ask the administrator to mount it with file locks (Lustre: option 'flock')"
        return "no", f"fail: {error.strerror}", remedy
    remedy = "do not install there from two places at once; ask for mounts with file locks"
    return "no", "do not exclude anybody", remedy


def _lock_excludes(number: int) -> bool:
    """Whether a lock on this file keeps a second opening of it from the same."""
    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    again = os.open(f"/proc/self/fd/{number}", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(again)
    return False


def build_dir(config: Config) -> Finding:
    """Whether something can be built in the build directory."""
    place = existing(config.build_dir)
    if os.path.lexists(config.build_dir):
        try:
            own_folder(config.build_dir)
        except TykkyError as error:
            return "no", error.cause, error.remedy
    if not writable(place):
        remedy = "set build_dir to a directory of yours on local disk"
        return "no", f"{config.build_dir} cannot be used", remedy
    if os.statvfs(place).f_flag & os.ST_NOEXEC:
        return "no", f"{place} is mounted with noexec", "set build_dir to a place without 'noexec'"
    return "ok", str(config.build_dir)


def layers(config: Config) -> Finding | None:
    """Whether what an update changes can become a layer, built there."""
    place = existing(config.build_dir)
    if not writable(place):
        return None
    why = layers_work(place)
    if not why:
        return "ok", "an update builds only what changes"
    remedy = "needs Linux 5.11, user namespaces, FUSE, and build_dir on a local disk"
    return "limited", f"each update builds the whole stack ({why})", remedy


def room(path: Path, key: str, wanted: int) -> Finding:
    """Whether there are the gigabytes ``wanted`` where ``key`` of the configuration points."""
    status = os.statvfs(existing(path))
    free = status.f_bavail * status.f_frsize
    found = f"{console.size(free)} free"
    if status.f_favail == 0 and status.f_files:
        found, free = "no inodes free", 0
    if free < wanted * 10**9:
        return "limited", found, f"large stacks need more than {wanted} GB: clean up, or set {key}"
    return "ok", found


def group(config: Config) -> Finding | None:
    """Whether files can be given to the group that is configured; None if there is none."""
    name = config.permissions.group
    if not name:
        return None
    try:
        gid = Permissions(group=name).gid
    except ConfigError as error:
        place = config.origin("permissions.group").place
        return "no", error.cause, f"correct permissions.group ({place})"
    if os.geteuid() and gid not in (*os.getgroups(), os.getegid()):
        remedy = "ask to become a member: only members can give files to a group"
        return "no", f"you are not in the group '{name}'", remedy
    return "ok", name


def openings(config: Config, keys: Sequence[str]) -> dict[Path, Opening]:
    """What lets others write to what lies where some keys point, or to a folder above it."""
    groups: set[int] = set()
    for name in (config.permissions.group, config.permissions.module_group):
        with contextlib.suppress(ConfigError):
            groups |= {Permissions(group=name).gid} - {-1}
    of_root = [config.root / name for name in ("store", "db")]
    paths = {key: [config.get(key), *(of_root if key == "root" else ())] for key in keys}
    found = (opening(path, groups) for key in keys for path in paths[key])
    return {way.path: way for way in found if way}


def others(config: Config) -> Finding:
    """Who else may change what is installed, and what installing trusts."""
    keys = ("root", "module_path", "bases_dir", "cache_dir", "build_dir")
    for way in openings(config, keys).values():
        return "limited", f"{way.path} {way.why}", way.remedy
    return "ok", "may change nothing of what is installed"


def repos(config: Config) -> Finding:
    """Whether the repositories of recipes can be read."""
    unusable = [
        f"{path} {'cannot be read' if os.access(path, os.F_OK) else 'does not exist'}"
        for path in config.repos
        if not os.access(path, os.R_OK | os.X_OK)
        and (path not in config.remotes or path.exists())  # what is not fetched yet will be
    ]
    if unusable:
        return "no", ", ".join(unusable), f"correct 'repos' ({config.origin('repos').place})"
    return "ok", ", ".join(str(config.remotes.get(path, path)) for path in config.repos) or "none"
