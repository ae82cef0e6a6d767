"""Whether the directories that the configuration names can be used as they must be.

Public names: ``probes``, ``existing``, ``writable``.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tykky import console
from tykky.config import Config
from tykky.doctor.probe import Probe

_ROOM_FOR_STACKS = 5 * 10**9
_ROOM_FOR_BUILDS = 10 * 10**9


def probes(config: Config) -> Iterator[Probe]:
    """The root and its file system, the build directory, the group, the recipes."""
    yield _root(config)
    yield _execution(config)
    yield _locks(config)
    yield _room("space for stacks", config.root, "root", _ROOM_FOR_STACKS)
    yield _build_dir(config)
    yield _room("space for builds", config.build_dir, "build_dir", _ROOM_FOR_BUILDS)
    yield from _group(config)
    yield from _repos(config)


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that can be seen: where it would be made."""
    while not os.access(path, os.F_OK) and path != path.parent:
        path = path.parent
    return path


def writable(path: Path) -> bool:
    """Whether files can be made in this directory."""
    return os.access(path, os.R_OK | os.W_OK | os.X_OK) and path.is_dir()


def _root(config: Config) -> Probe:
    root, place = config.root, existing(config.root)
    if writable(place):
        found = "can be written" if place == root else "will be made"
        return Probe("root", "install", "ok", f"{root} {found}")
    found = f"{root} cannot be {'written' if place == root else 'made'}"
    remedy = f"set another root, or ask who owns {place}; you can run what is installed there"
    return Probe("root", "install", "no", found, remedy)


def _execution(config: Config) -> Probe:
    place = existing(config.root)
    if os.statvfs(place).f_flag & os.ST_NOEXEC:
        remedy = "set a root on a file system that is mounted without 'noexec'"
        return Probe("programs in root", "run", "no", f"{place} is mounted with noexec", remedy)
    return Probe("programs in root", "run", "ok", "can be executed")


def _locks(config: Config) -> Probe:
    place = existing(config.root)
    if not writable(place):
        return Probe("locks in root", "install", "limited", "not tried: it cannot be written")
    try:
        with tempfile.TemporaryFile(dir=place) as stream:
            excluded = _lock_excludes(stream.fileno())
    except OSError as error:
        remedy = "ask the administrator to mount it with file locks (Lustre: option 'flock')"
        return Probe("locks in root", "install", "no", f"fail: {error.strerror}", remedy)
    if not excluded:
        remedy = "do not install there from two places at once; ask for mounts with file locks"
        return Probe("locks in root", "install", "no", "do not exclude anybody", remedy)
    return Probe("locks in root", "install", "ok", "work")


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


def _build_dir(config: Config) -> Probe:
    build, place = config.build_dir, existing(config.build_dir)
    if not writable(place):
        remedy = "set build_dir to a directory of yours on local disk"
        return Probe("build_dir", "install", "no", f"{build} cannot be used", remedy)
    if os.statvfs(place).f_flag & os.ST_NOEXEC:
        remedy = "set build_dir to a place without 'noexec'"
        return Probe("build_dir", "install", "no", f"{place} is mounted with noexec", remedy)
    return Probe("build_dir", "install", "ok", str(build))


def _room(name: str, path: Path, key: str, wanted: int) -> Probe:
    status = os.statvfs(existing(path))
    free = status.f_bavail * status.f_frsize
    found = f"{console.size(free)} free"
    if status.f_favail == 0 and status.f_files:
        found, free = "no inodes free", 0
    if free < wanted:
        remedy = f"large stacks need more than {console.size(wanted)}: clean up, or set {key}"
        return Probe(name, "install", "limited", found, remedy)
    return Probe(name, "install", "ok", found)


def _group(config: Config) -> Iterator[Probe]:
    import grp

    name = config.permissions.group
    if not name:
        return
    place = config.origin("permissions.group").place
    try:
        group = grp.getgrnam(name)
    except KeyError:
        remedy = f"correct permissions.group ({place})"
        yield Probe("group", "install", "no", f"there is no group '{name}'", remedy)
        return
    if os.geteuid() and group.gr_gid not in (*os.getgroups(), os.getegid()):
        remedy = "ask to become a member: only members can give files to a group"
        yield Probe("group", "install", "no", f"you are not in the group '{name}'", remedy)
        return
    yield Probe("group", "install", "ok", name)


def _repos(config: Config) -> Iterator[Probe]:
    unusable = [path for path in config.repos if not os.access(path, os.R_OK | os.X_OK)]
    for path in unusable:
        remedy = f"correct 'repos' ({config.origin('repos').place})"
        why = "cannot be read" if os.access(path, os.F_OK) else "does not exist"
        yield Probe("recipes", "install", "no", f"{path} {why}", remedy)
    if not unusable:
        yield Probe("recipes", "install", "ok", ", ".join(map(str, config.repos)) or "none")
