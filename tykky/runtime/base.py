"""What a runtime needs to enter a stack, and the file that says it: ``launch.conf``.

:func:`render` is the only place that writes that text; the launcher (``launcher/conf.h``)
is what reads it. Both refuse what they do not know.

Public names: ``LaunchPlan``, ``EnvChange``, ``EnvAction``, ``render``, ``CONF_DIRECTORY``,
``CONF_NAME``, ``LAUNCHER_NAME``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tykky.errors import Exit, TykkyError

CONF_DIRECTORY = ".tykky"
"""The directory in a prefix that holds the image, ``launch.conf`` and the launcher."""

CONF_NAME = "launch.conf"

LAUNCHER_NAME = "launch"
"""The launcher in that directory; every command in ``<prefix>/bin`` is a hard link of it."""


class EnvAction(Enum):
    """What is done to a variable before the program starts."""

    SET = "set"
    PREPEND = "prepend"
    APPEND = "append"
    UNSET = "unset"


@dataclass(frozen=True)
class EnvChange:
    """One change of the program's environment.

    ``PREPEND`` and ``APPEND`` join with ``:`` and do nothing if the value already stands at
    that end of the list. ``value`` is empty for ``UNSET``.
    """

    action: EnvAction
    name: str
    value: str = ""


@dataclass(frozen=True)
class LaunchPlan:
    """How the commands of one install enter it.

    ``image`` is the name of a file in ``<prefix>/.tykky``, ``image_size`` its size in bytes.
    ``idle`` and ``idle_step`` are the seconds that an unused mount is kept, outside and inside
    a Slurm job. ``needs`` are the prefixes of installs that are mounted together with this
    one, and whose ``environment`` is applied before its own. ``servers`` are candidates for
    ``squashfuse_ll``; empty means that the launcher looks in the usual places.
    """

    name: str
    prefix: Path
    image: str
    image_size: int
    environment: tuple[EnvChange, ...] = ()
    needs: tuple[Path, ...] = ()
    servers: tuple[Path, ...] = ()
    idle: int = 60
    idle_step: int = 10


def render(plan: LaunchPlan) -> str:
    """Return the text of ``launch.conf`` for a plan.

    Raises ``TykkyError`` if a value cannot be written in this format: a newline or a NUL
    byte, a relative path, a name with ``=``.
    """
    header = "# How the commands in ../bin enter this install. Written by tykky; do not edit.\n"
    return header + "".join(f"{key} {_checked(key, value)}\n" for key, value in _lines(plan))


def _lines(plan: LaunchPlan) -> Iterator[tuple[str, str]]:
    yield "format", "1"
    yield "name", plan.name
    yield "prefix", _path("prefix", plan.prefix)
    yield "runtime", "native"
    yield "mount", "prefix"
    if "/" in plan.image or plan.image.startswith("."):
        raise _unwritable("image", plan.image, "it must be the plain name of a file")
    yield "image", plan.image
    yield "image_size", str(plan.image_size)
    yield "idle", str(plan.idle)
    yield "idle_step", str(plan.idle_step)
    for need in plan.needs:
        yield "need", _path("need", need)
    for server in plan.servers:
        yield "server", _path("server", server)
    for change in plan.environment:
        yield change.action.value, _change(change)


def _change(change: EnvChange) -> str:
    if not change.name or set(change.name) & set("= "):
        raise _unwritable(change.action.value, change.name, "it is not the name of a variable")
    if change.action is EnvAction.UNSET:
        return change.name
    if not change.value and change.action is not EnvAction.SET:
        raise _unwritable(change.action.value, change.name, "there is nothing to add")
    return f"{change.name} {change.value}"


def _path(key: str, path: Path) -> str:
    if not path.is_absolute() or ".." in path.parts:
        raise _unwritable(key, str(path), "it must be an absolute path without '..'")
    return str(path)


def _checked(key: str, value: str) -> str:
    if not value:
        raise _unwritable(key, value, "it is empty")
    if set(value) & set("\n\r\0"):
        raise _unwritable(key, value, "it holds a line break or a NUL byte")
    return value


def _unwritable(key: str, value: str, why: str) -> TykkyError:
    return TykkyError(
        f"{CONF_NAME} cannot hold {key} {value!r}: {why}",
        remedy="correct the recipe or the path that it comes from",
        code=Exit.RECIPE,
    )
