"""What a runtime needs to enter a stack, and the file that says it: ``launch.conf``.

:func:`render` is the only place that writes that text; the launcher (``launcher/conf.h``,
where every key is explained) is what reads it. Both refuse what they do not know.

Public names: ``LaunchPlan``, ``Root``, ``Bind``, ``Command``, ``EnvChange``, ``EnvAction``,
``Runtime``, ``render``, ``CONF_DIRECTORY``, ``CONF_NAME``, ``LAUNCHER_NAME``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePath

from tykky.errors import Exit, TykkyError

CONF_DIRECTORY = ".tykky"
"""The directory in a prefix that holds the image, ``launch.conf`` and the launcher."""

CONF_NAME = "launch.conf"

LAUNCHER_NAME = "launch"
"""The launcher in that directory; every command in ``<prefix>/bin`` is a hard link of it."""


class Runtime(Enum):
    """How a stack is entered; ``AUTO`` takes Apptainer where the node forbids the native way."""

    NATIVE = "native"
    APPTAINER = "apptainer"
    AUTO = "auto"


class EnvAction(Enum):
    """What is done to a variable before the program starts."""

    SET = "set"
    PREPEND = "prepend"
    APPEND = "append"
    UNSET = "unset"
    INSERT = "insert"
    DEFAULT = "default"
    EXPAND = "expand"


@dataclass(frozen=True)
class EnvChange:
    """One change of the program's environment.

    ``PREPEND`` and ``APPEND`` join with ``:`` and do nothing if the value already stands at
    that end of the list; ``INSERT`` prepends unless it stands anywhere in it. ``EXPAND`` sets,
    and ``DEFAULT`` sets if nothing is set yet, after it has replaced ``${NAME}`` by the variable
    of that name and ``$$`` by a dollar. ``value`` is empty for ``UNSET``.
    """

    action: EnvAction
    name: str
    value: str = ""


@dataclass(frozen=True)
class Bind:
    """A path of the host that is put at another place inside; missing mount points are made.

    Either may begin with a variable that names a directory when a command starts: ``$HOME``,
    ``$TMPDIR/x``. An ``optional`` bind is left out where its source is missing.
    """

    source: str
    target: str
    optional: bool = False


@dataclass(frozen=True)
class Command:
    """A command whose program is not at the command's own path: the path of the program inside."""

    name: str
    program: PurePath


@dataclass(frozen=True)
class Root:
    """What is entered as ``/``: a directory, or a squashfs in a file.

    ``offset`` is the byte at which the squashfs begins and ``size`` that of the file in bytes;
    both are 0 for a directory.
    """

    path: Path
    offset: int = 0
    size: int = 0


@dataclass(frozen=True)
class LaunchPlan:
    """How the commands of one install enter it.

    ``image`` is the name of a file in ``<prefix>/.tykky`` and ``image_size`` its size in bytes;
    it is mounted over the prefix, or at ``mount_at``, which need not exist on the host. Without
    an image there must be a ``root`` or a ``container``.

    With a ``root`` or a ``container``, only that and ``binds`` are visible, and with
    ``host_roots`` also every directory in ``/`` of the host that the root does not have.

    With ``relocatable``, the install may be moved: ``$PREFIX`` at the beginning of a value (of
    binds, root, container and variables) is then where it lies when a command starts.

    ``needs`` are the prefixes of installs that are mounted together with this one, and whose
    ``environment`` is applied before its own. ``activation`` comes before ``environment``, and
    only where calling a command activates the stack: not through a virtual environment on top
    (unless CW_FORCE_CONDA_ACTIVATE is set), and not with CW_NO_CONDA_ACTIVATE.
    ``refuse_other_stacks`` makes calls from inside another stack an error. ``gpu`` (``nvidia``
    or ``amd``) lets commands say on a terminal that a node has none.

    ``servers`` are candidates for ``squashfuse_ll``, ``apptainers`` for ``apptainer``; empty
    means that the launcher looks in the usual places. ``container`` and ``options`` (words for
    ``apptainer exec``) are for that runtime. ``idle`` and ``idle_step`` are the seconds that an
    unused mount is kept, outside and inside a Slurm job.
    """

    name: str
    prefix: Path
    image: str = ""
    image_size: int = 0
    environment: tuple[EnvChange, ...] = ()
    activation: tuple[EnvChange, ...] = ()
    runtime: Runtime = Runtime.NATIVE
    mount_at: Path | None = None
    relocatable: bool = False
    root: Root | None = None
    host_roots: bool = False
    binds: tuple[Bind, ...] = ()
    needs: tuple[Path, ...] = ()
    commands: tuple[Command, ...] = ()
    refuse_other_stacks: bool = False
    gpu: str = ""
    servers: tuple[Path, ...] = ()
    container: Path | None = None
    apptainers: tuple[Path, ...] = ()
    options: tuple[str, ...] = ()
    idle: int = 60
    idle_step: int = 10


def render(plan: LaunchPlan) -> str:
    """Return the text of ``launch.conf`` for a plan.

    Raises ``TykkyError`` if a value cannot be written in this format: a newline or a NUL
    byte, a relative path, a name with ``=``, no image and no root.
    """
    header = "# How the commands in ../bin enter this install. Written by tykky; do not edit.\n"
    return header + "".join(f"{key} {_checked(key, value)}\n" for key, value in _lines(plan))


def _lines(plan: LaunchPlan) -> Iterator[tuple[str, str]]:
    yield "format", "1"
    yield "name", plan.name
    yield "prefix", _path("prefix", plan.prefix)
    yield "runtime", plan.runtime.value
    if plan.relocatable:
        yield "relocatable", "yes"
    yield from _files(plan)
    for bind in plan.binds:
        words = _place(bind.source), _place(bind.target)
        yield ("try_bind" if bind.optional else "bind"), _words(*words)
    for need in plan.needs:
        yield "need", _path("need", need)
    for command in plan.commands:
        yield "command", _words(_name(command.name), _path("command", command.program))
    if plan.refuse_other_stacks:
        yield "other_stacks", "refuse"
    if plan.gpu:
        yield "gpu", plan.gpu
    for change in plan.activation:
        yield "activate", f"{change.action.value} {_change(change)}"
    for change in plan.environment:
        yield change.action.value, _change(change)
    yield "idle", str(plan.idle)
    yield "idle_step", str(plan.idle_step)
    for server in plan.servers:
        yield "server", _path("server", server)
    for program in plan.apptainers:
        yield "apptainer", _path("apptainer", program)
    for option in plan.options:
        if not option.startswith("-"):
            raise _unwritable("option", option, "it does not begin with '-'")
        yield "option", option


def _files(plan: LaunchPlan) -> Iterator[tuple[str, str]]:
    if not plan.image and plan.root is None and plan.container is None:
        raise _unwritable("image", "", "there must be an image, a root or a container")
    if plan.image:
        yield "mount", f"path {_path('mount', plan.mount_at)}" if plan.mount_at else "prefix"
        yield "image", _name(plan.image)
        yield "image_size", str(plan.image_size)
    if plan.root is not None:
        yield "root", _own_path("root", plan.root.path, plan)
        yield "root_offset", str(plan.root.offset)
        yield "root_size", str(plan.root.size)
    if plan.container is not None:
        yield "container", _own_path("container", plan.container, plan)
    if plan.host_roots:
        yield "host_roots", "yes"


def _change(change: EnvChange) -> str:
    if not change.name or set(change.name) & set("= "):
        raise _unwritable(change.action.value, change.name, "it is not the name of a variable")
    if change.action is EnvAction.UNSET:
        return change.name
    if not change.value and change.action is not EnvAction.SET:
        raise _unwritable(change.action.value, change.name, "there is nothing to add")
    return f"{change.name} {change.value}"


def _path(key: str, path: PurePath) -> str:
    if not path.is_absolute() or ".." in path.parts:
        raise _unwritable(key, str(path), "it must be an absolute path without '..'")
    return str(path)


def _own_path(key: str, path: PurePath, plan: LaunchPlan) -> str:
    """An absolute path, or one below an install that may be moved."""
    if plan.relocatable and path.parts[:1] == ("$PREFIX",) and ".." not in path.parts:
        return str(path)
    return _path(key, path)


def _place(place: str) -> str:
    """The side of a bind: an absolute path, perhaps after a variable."""
    name, slash, rest = place.partition("/")
    variable = name.startswith("$") and name[1:].replace("_", "A").isalpha() and name.isupper()
    if (name and not variable) or not (variable or slash) or ".." in rest.split("/"):
        raise _unwritable("bind", place, "it must be an absolute path, or begin with a variable")
    return place


def _name(name: str) -> str:
    if not name or "/" in name or name.startswith("."):
        raise _unwritable("name", name, "it must be the plain name of a file")
    return name


def _words(*words: str) -> str:
    """Words in one value; what would end a word is written as in /etc/fstab."""
    escapes = {ord(c): f"\\{ord(c):03o}" for c in "\\ \t"}
    return " ".join(word.translate(escapes) for word in words)


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
