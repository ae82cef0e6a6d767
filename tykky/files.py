"""Files and folders: written whole or not at all, with the site's modes; read with care."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from tykky.errors import ConfigError, Exit, StepError, StoreError, explained, from_os_error

_T = TypeVar("_T")

#: What a network file system answers for what somebody still has open: it can be deleted later.
BUSY = (errno.EBUSY, errno.ENOTEMPTY, errno.ESTALE, errno.ETXTBSY)
_NAMED = "'tykky config' shows which setting names it"
#: What the kernel answers where a file system has no locks.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
#: ioctl_ficlone(2).
_FICLONE = 0x40049409
#: What records and the like never reach, in bytes.
_SMALL = 1 << 26


@dataclass(frozen=True)
class Permissions:
    """Modes and group of everything in a store, whatever the installer's umask is.

    ``group`` is a name, or empty for the group of the process (or the folder's, with
    ``setgid``). The modes are ``chosen`` by the site, or follow from somebody's umask. Modulefiles
    may have a ``module_group``; ``restricted`` has the groups that alone may use an install, by
    its name or its module.
    """

    folder: int = 0o755
    file: int = 0o644
    group: str = ""
    setgid: bool = False
    chosen: bool = True
    module_group: str = ""
    restricted: Mapping[str, str] = field(default_factory=dict)

    @property
    def modules(self) -> Permissions:
        """What modulefiles and their folders get."""
        return replace(self, group=self.module_group or self.group)

    def only_for(self, module: str) -> str:
        """The group that alone may use an install; empty if everybody may."""
        name = module.partition("/")[0]
        return self.restricted.get(module) or self.restricted.get(name, "")

    def of_prefix(self, module: str) -> Permissions:
        """What the directory of an install gets, by which it is open to everybody or to a group.

        Nothing is passed on from there, since the group that uses an install may not change it.
        """
        if not (group := self.only_for(module)):
            return self
        folder = (self.folder | 0o050) & (0o770 if group == self.group else 0o750)
        return replace(self, folder=folder, group=group, setgid=False, chosen=True)

    @property
    def gid(self) -> int:
        """The numeric group, -1 to leave it as it is. Raises ``ConfigError``."""
        return _gid(self.group) if self.group else -1

    def apply(self, path: Path, *, executable: bool = False, instead: Path | None = None) -> None:
        """Give one file or folder its mode and group.

        Where nobody has chosen modes, who could read what it comes ``instead`` of goes on to.
        """
        gid, status = self.gid, path.lstat()
        if gid not in (-1, status.st_gid):
            try:
                os.chown(path, -1, gid, follow_symlinks=False)
            except PermissionError:
                cause = f"you may not give {path} to the group '{self.group}'"
                remedy = f"only members can; ask to become one; {_NAMED}"
                raise StoreError(cause, remedy=remedy, code=Exit.NOT_WRITABLE) from None
        if stat.S_ISDIR(status.st_mode):
            mode = self.folder | (0o2000 if self.setgid else 0)
        else:
            # Who may read a program may run it.
            mode = self.file | ((self.file & 0o444) >> 2 if executable else 0)
            if instead is not None and not self.chosen and instead.is_file():
                mode |= instead.stat().st_mode & 0o775
        if self.chosen:
            _drop_lists(path)
        if stat.S_IMODE(path.lstat().st_mode) != mode:  # which only its owner may change
            path.chmod(mode)

    def apply_again(self, tree: Path) -> None:
        """Give all in a tree that is one's own what the site has chosen, links left alone."""
        for path in (tree, *(Path(entry.path) for entry in walk(tree))):
            status = path.lstat()
            is_ours = status.st_uid == os.geteuid() and not stat.S_ISLNK(status.st_mode)
            if is_ours and path.name not in ("lock", ".lock"):  # see below
                chosen = self if self.chosen else _as_it_is(self, status.st_mode)
                chosen.apply(path, executable=bool(status.st_mode & 0o100))

    def lock(self, descriptor: int) -> None:
        """Let all who may write to the folders write to a file that all of them add to, or lock."""
        status, gid, mode = os.fstat(descriptor), self.gid, self.folder & 0o666
        if status.st_uid == os.geteuid():
            if self.chosen:
                _drop_lists(descriptor)
            if gid not in (-1, status.st_gid):
                os.fchown(descriptor, -1, gid)
            if stat.S_IMODE(status.st_mode) != mode:
                os.fchmod(descriptor, mode)


@cache
def _gid(group: str) -> int:
    import grp

    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError(
            f"there is no group '{group}' on this machine",
            remedy=_NAMED,
        ) from None


def _drop_lists(path: Path | int) -> None:
    """Let modes mean what they say, whatever access list the folder above has passed on."""
    for name in ("posix_acl_access", "posix_acl_default"):
        with contextlib.suppress(OSError):  # there is none, or there are no lists
            os.removexattr(path, f"system.{name}")


def _as_it_is(site: Permissions, mode: int) -> Permissions:
    """The group of a site that has chosen no modes, with the mode that a file has."""
    return replace(site, folder=mode & 0o7777, file=mode & 0o777, setgid=False)


def make_folder(path: Path, permissions: Permissions) -> None:
    """Make a folder and its missing parents, each with the site's mode and group."""

    def make() -> None:
        missing = [each for each in (path, *path.parents) if not each.is_dir()]
        for folder in reversed(missing):
            try:
                folder.mkdir()
                permissions.apply(folder)
            except FileExistsError:
                if os.path.lexists(folder) and not folder.is_dir():
                    raise NotADirectoryError(
                        errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)
                    ) from None

    insist(make)


def is_folder(path: Path) -> bool:
    """Whether there is a folder, as far as that can be seen."""
    try:
        return path.is_dir()
    except OSError:
        return False


def check_writable(folder: Path, doing: str) -> None:
    """Raise ``StoreError`` if nothing may be changed in a folder."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(
            f"you may not {doing}: {folder} is not writable",
            remedy="ask its owner, whom 'ls -ld' shows, to do it",
            code=Exit.NOT_WRITABLE,
        )


def insist(action: Callable[[], _T], tries: int = 10) -> _T:
    """What an action gives that begins by making a folder, tried again if that is gone.

    Somebody may just have removed it, together with the last of what was in it.
    """
    for _ in range(tries - 1):
        with contextlib.suppress(FileNotFoundError):
            return action()
    return action()


def write_file(path: Path, data: bytes, permissions: Permissions, *, durable: bool = True) -> None:
    """Write a file by a temporary name and a rename: readers see the old or the new one.

    What a killed writer left is overwritten by the next, and two at once do not meet. Raises the
    ``TykkyError`` behind an ``OSError``; then nothing has changed.
    """
    with explained(f"write {path}"):
        with replacing(path) as stream:
            stream.write(data)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
            permissions.apply(Path(stream.name), instead=path)
        if durable:
            sync(path.parent)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that is at a path once it is whole; if it never is, all is as it was.

    Only its owner may read it, unless it is given another mode. It is nothing that somebody else
    has put there, or a link to it. Raises ``OSError``.
    """
    temporary, descriptor = _beside(path)
    try:
        with open(temporary, "wb", opener=lambda _name, _how: descriptor) as stream:
            stream.truncate()
            yield stream
            stream.flush()
            temporary.replace(path)
    except BaseException:  # Ctrl-C as well
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def usual_mode(mode: int) -> int:
    """A mode without what the umask takes away."""
    umask = os.umask(0o022)
    os.umask(umask)
    return mode & ~umask


def _beside(path: Path) -> tuple[Path, int]:
    """A temporary name that nobody else writes to, and its file, open.

    It is always the same, unless somebody holds the lock of that file, or there are no locks.
    """
    usual = path.with_name(f".{path.name}.new")
    how = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = -1
    try:
        descriptor = os.open(usual, how, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(descriptor)  # else it has another name by now, or is somebody else's
        own = status.st_uid == os.geteuid() and status.st_nlink == 1
        if own and os.path.samestat(status, usual.lstat()):
            return usual, descriptor
    except OSError as error:
        if error.errno in NO_LOCKS and descriptor >= 0:  # nobody uses it here
            usual.unlink(missing_ok=True)
    if descriptor >= 0:
        os.close(descriptor)
    other = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    return other, os.open(other, how | os.O_EXCL, 0o600)


def bring(source: Path, target: Path, permissions: Permissions, *, link: bool) -> None:
    """Put a file that never changes where it is not yet: a second name if it may be, or a copy.

    The copy takes no room where the file system can do that. Raises ``OSError``.
    """
    if target.exists():
        return
    if link:
        with contextlib.suppress(OSError):  # it may be on another file system
            os.link(source, target)
            return
    with source.open("rb") as old, replacing(target) as stream:
        try:
            fcntl.ioctl(stream.fileno(), _FICLONE, old.fileno())  # the same blocks, if it may be
        except OSError:
            shutil.copyfileobj(old, stream, 1 << 20)
        permissions.apply(Path(stream.name))


def copy_tree(source: Path, target: Path) -> None:
    """Copy what is in a folder into another one, links as links. Raises ``OSError``.

    (``shutil.copytree`` goes on after errors, and forgets which they were.)
    """
    target.mkdir(exist_ok=True)
    shutil.copystat(source, target)
    for entry in walk(source):
        path, new = Path(entry.path), target / Path(entry.path).relative_to(source)
        if entry.is_dir(follow_symlinks=False):
            new.mkdir(exist_ok=True)
            shutil.copystat(path, new)
        else:
            shutil.copy2(path, new, follow_symlinks=False)


def open_regular(path: Path) -> BinaryIO:
    """A file to be read, which anybody may have put there: opening it never waits.

    Raises ``OSError``, also for what is no regular file and for a name that no file can have.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:
        raise OSError(errno.EINVAL, "no file can have that name", str(path)) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return os.fdopen(descriptor, "rb")


def read_small(path: Path) -> bytes:
    """What is in a file that anybody may have put there: never waits, never fills the memory.

    Raises ``OSError``.
    """
    with open_regular(path) as stream:
        if os.fstat(stream.fileno()).st_size > _SMALL:
            raise OSError(errno.EINVAL, f"it is larger than {_SMALL >> 20} MiB", str(path))
        return stream.read(_SMALL)


def text_at(path: Path) -> str:
    """The text in such a file, of which any byte is kept; nothing if it cannot be read."""
    with contextlib.suppress(OSError):
        return read_small(path).decode("utf-8", errors="surrogateescape")
    return ""


def read_json(path: Path) -> Any:
    """What such a file holds as JSON. Raises ``OSError``, and ``ValueError`` for what is none."""
    return parse_json(read_small(path))


def parse_json(text: str | bytes) -> Any:
    """What a JSON text says. Raises ``ValueError`` for what is none, or is nested too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def read_within(root: Path, path: Path) -> bytes:
    """The bytes of a file below ``root``, where something built may have left anything.

    Raises ``StepError`` for one that is not really there: a link that leads out of it, a pipe.
    """
    try:
        real, top = path.resolve(strict=True), root.resolve()
        with open_regular(real) as stream:
            if top in real.parents:
                return stream.read()
    except RuntimeError:  # links that lead to each other
        pass
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ELOOP):
            raise from_os_error(error, "read what was built") from error
    raise StepError(
        f"what was built has a link that leads out of it, or no file, where a file belongs: {path}",
        remedy="what was built is broken or hostile; the log says what was run",
    )


def digest_file(path: Path, algorithm: str = "sha256") -> str:
    """The digest of a file, in hex. Raises ``OSError``."""
    digest = hashlib.new(algorithm, usedforsecurity=algorithm == "sha256")
    with open_regular(path) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Flush one file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def walk(path: Path) -> Iterator[os.DirEntry[str]]:
    """What is in a tree, however deep it is, each folder before what is in that.

    What cannot be read has nothing in it; no link is followed.
    """
    todo = [os.fspath(path)]
    while todo:
        with contextlib.suppress(OSError), os.scandir(todo.pop()) as there:
            for entry in there:
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
                yield entry


def discard(path: Path) -> None:
    """Remove a file or a whole tree, also a very deep one, or one with read-only folders in it."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path)
    except (OSError, RecursionError) as error:
        import subprocess  # which most that use this module need not wait for

        # These find their way where no path is long enough.
        for command in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
            subprocess.run([*command, "--", path], capture_output=True, check=False)
        if os.path.lexists(path):
            known = error if isinstance(error, OSError) else OSError(errno.EACCES, "not permitted")
            raise known from None


def size_of(path: Path) -> int:
    """How many bytes there are in a tree, as far as it can be seen."""
    found = 0
    for entry in walk(path):
        with contextlib.suppress(OSError):
            found += entry.stat(follow_symlinks=False).st_size
    return found


def count(path: Path) -> int:
    """How many files and folders there are in a tree, itself included."""
    return 1 + sum(1 for _ in walk(path))
