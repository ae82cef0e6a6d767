"""The errors Tykky raises, and the exit code of each.

Everything below ``cli/`` raises a :class:`TykkyError`; only ``cli/`` and ``console.py``
print and exit. An error is two sentences for a person: the *cause* (what is wrong, with
the name or path it is about) and the *remedy* (what to do next). A traceback is never
part of the interface.
"""

from __future__ import annotations

import contextlib
import errno
import linecache
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class Exit(IntEnum):
    """Exit codes of the ``tykky`` program; documented in share/doc/reference/exit-codes.md.

    The codes of the launcher (125, 126, 127) are not here: they belong to the commands
    of a stack, see ``runtime/launcher``.
    """

    OK = 0
    FAILED = 1  # something unforeseen; a bug report is welcome
    USAGE = 2  # the command line itself
    SPEC = 3  # a spec names no recipe, version or choice
    RECIPE = 4  # a recipe file is wrong
    CONFIG = 5  # a configuration file or value is wrong
    NOT_FOUND = 6  # no such install, file or log
    CONFLICT = 7  # a name clash, or another install still needs this one
    # One for each step of the pipeline, for failures with no more exact code.
    RESOLVE = 10
    BASE = 11
    BUILD = 12
    FINISH = 13
    SQUASH = 14
    TEST = 15
    COMMIT = 16
    PUBLISH = 17
    # The answer "no" of a verb that proves something.
    DIFFERENT = 18  # what was built again is not what is installed
    # Causes that may strike in any step.
    NO_SPACE = 20
    NOT_WRITABLE = 21
    NETWORK = 22
    UNKNOWN_PACKAGE = 23
    MISSING_TOOL = 24
    PATH_TOO_LONG = 25
    NODE = 26  # this machine lacks what a stack needs (user namespaces, /dev/fuse, ...)
    LOCK = 27  # a lock file is missing, stale or wrong
    DAMAGED = 28  # what is on disk is not what was recorded
    NEWER = 29  # written by a newer Tykky, and so left alone
    VULNERABLE = 30  # packages with known holes
    LICENCE = 31  # packages under licences that the site does not allow
    JOB = 32  # the batch system gave a build too little time or memory, or has lost it
    INTERRUPTED = 130  # Ctrl-C
    TERMINATED = 143  # SIGTERM


@dataclass(frozen=True)
class Where:
    """A place in a file that an error is about.

    ``line`` counts from 1; ``text`` is that line as written (read from the file when it
    is not given); ``column`` and ``width`` count characters from 0 and put carets below
    the words that are meant.
    """

    path: Path
    line: int = 0
    column: int | None = None
    width: int = 1
    text: str | None = None

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        text = self.text
        if text is None:
            linecache.checkcache(str(self.path))
            text = linecache.getline(str(self.path), self.line)
        if not text.strip():
            return place
        shown = masked(text.rstrip("\n"))
        indent = len(shown) - len(shown.lstrip())
        lines = [place, "    " + shown.strip()]
        if self.column is not None and self.column >= indent:
            lines.append("    " + " " * (self.column - indent) + "^" * max(1, self.width))
        return "\n".join(lines)


_NAME = r"[^/\s'\"<>?#]"
#: What is secret in a text, between what says so and is left: the user and password of an address
#: (a password may have an @ in it; of a web server, the user alone may be a token), the token in
#: the path of a conda channel, or in a query, and the header of a request.
_SECRETS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"((?:https?|ftp)://){_NAME}+(@)",
        rf"(\w://)[^/\s'\"<>?#:@]*:{_NAME}*(@)",
        rf"(https?://[^/\s]+/t/){_NAME}+()",
        r"([?&#][\w.-]*(?:token|sig|signature|jwt|password|secret|credential|key|key-?id|pair-id)=)"
        r"[^&\s'\"<>]+()",
        r"(authorization['\"]?: *['\"]?(?:basic|bearer|token) )[^\s'\"]+()",
    )
)


def masked(text: str) -> str:
    """The text without the passwords and tokens that are in it as people and programs write them.

    All that is kept or shown goes through here.
    """
    # Without one of these there is none, as in most of the cells of long tables.
    for pattern in _SECRETS if ":" in text or "=" in text else ():
        text = pattern.sub(r"\1***\2", text)
    return text


#: Keys and tokens that tell by themselves what they are.
_TOKENS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\b(?:gh[oprsu]_[A-Za-z0-9]{36}|github_pat_\w{22}|glpat-[\w-]{20}|hf_[A-Za-z]{30}"
    r"|pypi-AgEI[\w-]{40}|xox[abprs]-[\w-]{10}|AKIA[0-9A-Z]{16})"
)
#: Lines of settings that give one, and how the names of files end that have settings.
_SETTING = re.compile(
    r"^[\s\"'-]*[\w.-]*(?:password|passwd|secret|token|api_?key)[\"']?\s*[:=]\s*[\"']?"
    r"[^\s\"'{}\[\]$<>*,#]{6}",
    re.IGNORECASE | re.MULTILINE,
)
_SETTINGS = (".cfg", ".conf", ".env", ".ini", ".json", ".properties", ".toml", ".yaml", ".yml")


def has_secret(text: str, name: str = "") -> bool:
    """Whether a text, or a file of that name, has a password, token or key that can be told.

    More is taken for one than :func:`masked` masks: it need not be kept, nor told to others.
    """
    is_one = name.endswith(_SETTINGS) and _SETTING.search(text)
    return masked(text) != text or bool(_TOKENS.search(text) or is_one)


class TykkyError(Exception):
    """What went wrong, for a person: cause, remedy, place in a file, exit code.

    ``details`` are further lines worth showing (the last lines of a build log, say).
    """

    code: Exit = Exit.FAILED

    def __init__(
        self,
        cause: str,
        *,
        remedy: str = "",
        code: Exit | None = None,
        where: Where | None = None,
        details: tuple[str, ...] = (),
    ) -> None:
        cause = masked(cause)
        super().__init__(cause)
        self.cause = cause
        self.remedy = masked(remedy)
        self.where = where
        self.details = tuple(map(masked, details))
        if code is not None:
            self.code = code


class SpecError(TykkyError):
    """A spec that cannot be parsed, or that names nothing that exists."""

    code = Exit.SPEC


class RecipeError(TykkyError):
    """A recipe file that cannot be used as it is."""

    code = Exit.RECIPE


class ConfigError(TykkyError):
    """A configuration file or value that cannot be used."""

    code = Exit.CONFIG


class LockError(TykkyError):
    """A lock that is missing, out of date, or not what it says."""

    code = Exit.LOCK


class StepError(TykkyError):
    """A step of the pipeline that failed; the pipeline adds the step's own exit code."""

    code = Exit.BUILD


class StoreError(TykkyError):
    """The store cannot do what was asked: a clash, a missing install, a permission."""

    code = Exit.NOT_FOUND


class ToolError(TykkyError):
    """A program of the host that is needed and not there."""

    code = Exit.MISSING_TOOL


def did_you_mean(word: str, known: list[str]) -> str:
    """A suggestion such as ``did you mean 'packages'?``, or an empty string."""
    import difflib

    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else ""


@contextlib.contextmanager
def explained(doing: str, key: str = "root") -> Iterator[None]:
    """Raise the ``TykkyError`` behind an ``OSError`` from within; see ``from_os_error``."""
    try:
        yield
    except OSError as error:
        raise from_os_error(error, doing, key) from error


#: What disks answer that are full, broken or read-only.
OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EREMOTEIO, errno.EROFS)


def told(error: TykkyError | OSError, doing: str) -> TykkyError:
    """An error as one that can be told to a person; ``doing`` is what it has kept from."""
    return error if isinstance(error, TykkyError) else from_os_error(error, doing)


def from_os_error(error: OSError, doing: str, key: str = "root") -> TykkyError:
    """The error for a person behind an ``OSError``: what was being done, and what helps.

    ``doing`` completes the sentence 'Cannot ...', e.g. ``write the record``; ``key`` is the setting
    that says where, or an option, e.g. ``-o``.
    """
    name = str(error.filename or "")
    place = f" ({name if len(name) < 300 else f'{name[:200]}...'})" if name else ""
    cause = f"cannot {doing}{place}: {error.strerror or error}"
    remedy, code = "'tykky doctor' checks this machine.", Exit.FAILED
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        disks = f"'tykky config why {key}' says which disk is used"
        if key in ("root", "build_dir"):
            other = "'tykky config why root' and 'tykky config why build_dir'"
            disks = f"{other} say which disks are used"
        elif key.startswith("-"):
            disks = f"or choose another disk: {key} FILE"
        remedy = f"free some space or raise the quota, then run the same command again; {disks}"
        code = Exit.NO_SPACE
    elif error.errno == errno.EFBIG:
        remedy = (
            "raise the limit on the size of files, 'ulimit -f unlimited', or choose a disk "
            f"that holds larger ones: 'tykky config why {key}'"
        )
        code = Exit.NO_SPACE
    elif error.errno in (errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENOTEMPTY, errno.EINVAL):
        remedy = "move away what is there in its place, then run the same command again"
        code = Exit.DAMAGED
    elif error.errno in (errno.EIO, errno.ESTALE, errno.EREMOTEIO):
        remedy = "a disk or a file server fails: ask who runs it, then run the same command again"
        code = Exit.NOT_WRITABLE
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        other = "--root DIR, or " if key == "root" else ""
        how = f"{key} FILE" if key.startswith("-") else f"{other}'tykky config set {key} DIR'"
        remedy = f"choose a place that you may write to: {how}"
        code = Exit.NOT_WRITABLE
    elif error.errno == errno.ENAMETOOLONG:
        remedy, code = "give a shorter path", Exit.PATH_TOO_LONG
    elif error.errno in _NO_SUCH_FILE:
        remedy, code = "see what is at that path, with 'ls -l', and correct it", Exit.NOT_FOUND
    elif error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN):
        remedy = "raise the limits on open files, memory and processes: 'ulimit -a' shows them"
        code = Exit.NODE
    return TykkyError(cause, remedy=remedy, code=code)


_NO_SUCH_FILE = (
    *(errno.ENOENT, errno.ELOOP, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY),
    *(errno.EINVAL, errno.ENXIO, errno.ENODEV, errno.ENODATA),
)
