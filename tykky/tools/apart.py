"""Doing something in a process of its own, with mounts that nobody else sees.

A process can make namespaces for itself only, and cannot leave them again; so what needs mounts is
done by a child, which gives back what came of it.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tykky.errors import TykkyError

_T = TypeVar("_T")
_Mounts = TypeVar("_Mounts")

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_REC, _MS_SLAVE = 1 << 14, 1 << 19
_PR_SET_PDEATHSIG = 1


def apart(mounting: Callable[[], _Mounts], action: Callable[[_Mounts], _T]) -> _T:
    """What an action returns in a child, which it is after ``mounting``; what these raise.

    While it mounts, the child is root among its own: files of root are its own ones. After that it
    is the user again, and they are the user's. The result must be one that ``pickle`` takes; what
    else is changed in memory is lost. The child ends with this process, however that ends. Raises
    ``OSError`` with the name of a system call in ``filename`` where there can be no such process.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _be_child(mounting, action, writer)
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as stream:
            said = stream.read()
        status = os.waitpid(child, 0)[1]
    except BaseException:
        # It has been told as well, if it was the terminal that told this one.
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        raise
    if not said:
        raise TykkyError(
            f"the process that was at work ended before its time ({_ending(status)})",
            remedy="try again; is there too little memory? 'dmesg' or the job's log may tell",
        )
    good, value = pickle.loads(said)  # of our own child
    if good:
        result: _T = value
        return result
    raise _risen(*value)


def _be_child(
    mounting: Callable[[], _Mounts], action: Callable[[_Mounts], object], writer: int
) -> None:
    """Do it, tell what came of it, and end without anything that this process was to do later."""
    try:
        end_with_parent()
        uid, gid = os.geteuid(), os.getegid()
        # Root needs the second only, if it may make that.
        if power := uid != 0 or not _may(kernel, "unshare", _CLONE_NEWNS):
            kernel("unshare", _CLONE_NEWUSER | _CLONE_NEWNS)
            _map((0, uid), (0, gid))
        kernel("mount", None, b"/", None, _MS_REC | _MS_SLAVE, None)
        mounts = mounting()
        if power and uid:
            kernel("unshare", _CLONE_NEWUSER)
            _map((uid, 0), (gid, 0))
        told: tuple[bool, object] = (True, action(mounts))
    except KeyboardInterrupt:
        os._exit(1)
    except BaseException as error:
        kept = dict(vars(error)) if isinstance(error, TykkyError) else {}
        told = (False, (type(error), error.args, kept, _numbered(error)))
    try:
        data = pickle.dumps(told)
        sys.stdout.flush()
        sys.stderr.flush()
        with os.fdopen(writer, "wb") as stream:
            stream.write(data)
    finally:
        os._exit(0)


def _numbered(error: BaseException) -> tuple[Any, ...]:
    return (error.errno, error.strerror, error.filename) if isinstance(error, OSError) else ()


def _risen(
    kind: type[BaseException], args: tuple[Any, ...], kept: dict[str, Any], numbered: Any
) -> BaseException:
    """The error that the child told of."""
    if numbered:
        return OSError(*numbered)
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(kept)
    return error


def _ending(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"exit status {code}"


def _map(users: tuple[int, int], groups: tuple[int, int]) -> None:
    """Who one is in a user namespace that was just made, and outside of it."""
    for name, text in (
        ("setgroups", "deny"),
        ("gid_map", "{} {} 1".format(*groups)),
        ("uid_map", "{} {} 1".format(*users)),
    ):
        Path("/proc/self", name).write_text(text, encoding="ascii")


def _may(call: Callable[..., None], *words: Any) -> bool:
    try:
        call(*words)
    except OSError:
        return False
    return True


def end_with_parent() -> None:
    """Have the kernel end this process when the one that started it ends, however that does."""
    kernel("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def kernel(call: str, *words: Any) -> None:
    """A system call, by its name in the C library. Raises ``OSError``, which names it."""
    libc: Any = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, call)(*words) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), call)
