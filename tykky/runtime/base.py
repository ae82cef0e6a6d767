"""What a runtime needs to enter a stack, and the file that says it: ``launch.conf``.

:func:`render` is the only place that writes that text; the launcher (``launcher/launch/conf.h``,
where every key is explained) is what reads it. Both refuse what they do not know.

An install lies at a place, in generations: each has a ``launch.conf`` of its own, and the link
``current`` names the one that commands use which are not pinned to another::

    <place>/bin/NAME                            the launcher, hard-linked under every name
    <place>/.tykky/launch                       the launcher
    <place>/.tykky/current -> generations/7
    <place>/.tykky/generations/7/launch.conf
    <place>/.tykky/images/<name>.sqfs           shared between generations

Public names: ``LaunchPlan``, ``Mount``, ``Root``, ``Need``, ``ImageMount``, ``Bind``, ``Command``,
``EnvChange``, ``EnvAction``, ``Runtime``, ``render``, ``conf_path``, ``image_path``,
``CONF_DIRECTORY``, ``CONF_NAME``, ``CONF_FORMAT``, ``LAUNCHER_NAME``, ``IMAGES``,
``GENERATIONS``, ``CURRENT``, ``PINS``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePath

from tykky.errors import Exit, TykkyError

CONF_DIRECTORY = ".tykky"
"""The directory in a place that holds images, generations and the launcher."""

CONF_NAME = "launch.conf"

CONF_FORMAT = 2
"""What a launch file says first; the launcher refuses any other."""

LAUNCHER_NAME = "launch"
"""The launcher in that directory; every command in ``<place>/bin`` is a hard link of it."""

IMAGES = "images"
GENERATIONS = "generations"
CURRENT = "current"

PINS = "TYKKY_PINS"
"""The variable that pins places to generations: ``PLACE=GENERATION:PLACE=GENERATION``."""


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
class Root:
    """What is entered as ``/``: a directory, or a squashfs in a file.

    ``offset`` is the byte at which the squashfs begins and ``size`` that of the file in bytes;
    both are 0 for a directory. The path may begin with ``$PREFIX`` or ``$GENERATION``.
    """

    path: PurePath
    offset: int = 0
    size: int = 0


@dataclass(frozen=True)
class Need:
    """Another install, of exactly this generation: what it mounts is mounted here."""

    place: Path
    generation: str


@dataclass(frozen=True)
class ImageMount:
    """An image in ``<place>/.tykky/images``, of ``size`` bytes, that covers ``target``.

    ``target`` is mostly the place itself; it need not exist on the host, and may begin with
    ``$PREFIX``.
    """

    file: str
    size: int
    target: str


@dataclass(frozen=True)
class Bind:
    """A path of the host that is put at another place inside; missing mount points are made.

    Either may begin with a variable that names a directory when a command starts: ``$HOME``,
    ``$TMPDIR/x``; the source with ``$GENERATION``. An ``optional`` bind is left out where its
    source is missing.
    """

    source: str
    target: str
    optional: bool = False


Mount = Root | Need | ImageMount | Bind


@dataclass(frozen=True)
class Command:
    """A command whose program is not at the command's own path: the path of the program inside."""

    name: str
    program: PurePath


@dataclass(frozen=True)
class LaunchPlan:
    """How the commands of one generation of an install enter it.

    ``generation`` is its number, and ``mounts`` what is mounted, in this order: later ones lie
    over earlier ones. There may be one root, before all others; without an image there must be
    a root or a ``container``.

    With a root or a ``container``, only that and what is bound is visible, and with
    ``host_roots`` also every directory in ``/`` of the host that the root does not have.

    With ``relocatable``, the install may be moved: ``$PREFIX`` at the beginning of a value (of
    mounts, container and variables) is then where it lies when a command starts.
    ``$GENERATION`` at the beginning of a root, of the container or of the source of a bind is
    the directory of this generation, ``<place>/.tykky/generations/7``.

    The ``environment`` of what is needed is applied before its own. ``activation`` comes before
    ``environment``, and only where calling a command activates the stack: not through a virtual
    environment on top (unless CW_FORCE_CONDA_ACTIVATE is set), and not with CW_NO_CONDA_ACTIVATE.
    ``refuse_other_stacks`` makes calls from inside another stack an error. ``gpu`` (``nvidia``
    or ``amd``) lets commands say on a terminal that a node has none.

    ``servers`` are candidates for ``squashfuse_ll``, ``apptainers`` for ``apptainer``; empty
    means that the launcher looks in the usual places. ``container`` and ``options`` (words for
    ``apptainer exec``) are for that runtime. ``idle`` and ``idle_step`` are the seconds that an
    unused mount is kept, outside and inside a Slurm job.
    """

    name: str
    prefix: Path
    generation: str = "1"
    mounts: tuple[Mount, ...] = ()
    environment: tuple[EnvChange, ...] = ()
    activation: tuple[EnvChange, ...] = ()
    runtime: Runtime = Runtime.NATIVE
    relocatable: bool = False
    host_roots: bool = False
    commands: tuple[Command, ...] = ()
    refuse_other_stacks: bool = False
    gpu: str = ""
    servers: tuple[Path, ...] = ()
    container: PurePath | None = None
    apptainers: tuple[Path, ...] = ()
    options: tuple[str, ...] = ()
    idle: int = 60
    idle_step: int = 10

    @property
    def root(self) -> Root | None:
        """What is entered as ``/``, if that is not the host's."""
        return next((mount for mount in self.mounts if isinstance(mount, Root)), None)

    @property
    def images(self) -> tuple[ImageMount, ...]:
        """The images of its own, in the order in which they are mounted."""
        return tuple(mount for mount in self.mounts if isinstance(mount, ImageMount))


def conf_path(place: Path, generation: str = "") -> Path:
    """The ``launch.conf`` of a generation of the install at ``place``; empty: the current one."""
    folder = Path(GENERATIONS, generation) if generation else Path(CURRENT)
    return place / CONF_DIRECTORY / folder / CONF_NAME


def image_path(place: Path, file: str) -> Path:
    """The image of that name, of the install at ``place``."""
    return place / CONF_DIRECTORY / IMAGES / file


def render(plan: LaunchPlan) -> str:
    """Return the text of ``launch.conf`` for a plan.

    Raises ``TykkyError`` if a value cannot be written in this format: a newline or a NUL
    byte, a relative path, a name with ``=``, no image and no root, a root after another mount.
    """
    header = "# How commands enter this generation of the install. Written by tykky; do not edit.\n"
    return header + "".join(f"{key} {_checked(key, value)}\n" for key, value in _lines(plan))


def _lines(plan: LaunchPlan) -> Iterator[tuple[str, str]]:
    yield "format", str(CONF_FORMAT)
    yield "name", plan.name
    yield "prefix", _path("prefix", plan.prefix)
    yield "generation", _number("generation", plan.generation)
    yield "runtime", plan.runtime.value
    if plan.relocatable:
        yield "relocatable", "yes"
    if plan.container is not None:
        yield "container", _own_path("container", plan.container, plan)
    if plan.host_roots:
        yield "host_roots", "yes"
    yield from _mounts(plan)
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


def _mounts(plan: LaunchPlan) -> Iterator[tuple[str, str]]:
    if not plan.images and plan.root is None and plan.container is None:
        raise _unwritable("mounts", "", "there must be an image, a root or a container")
    for index, mount in enumerate(plan.mounts):
        if isinstance(mount, Root):
            if index > 0:
                raise _unwritable("root", str(mount.path), "it must come before other mounts")
            path = _own_path("root", mount.path, plan)
            yield "root", _words(path, str(mount.offset), str(mount.size))
        elif isinstance(mount, Need):
            number = _number("need", mount.generation)
            yield "need", _words(_path("need", mount.place), number)
        elif isinstance(mount, ImageMount):
            if mount.size <= 0:
                raise _unwritable("image", mount.file, "it is empty")
            target = _target(mount.target, plan)
            yield "image", _words(_name(mount.file), str(mount.size), target)
        else:
            source, target = _place(mount.source, plan), _place(mount.target, plan, inside=True)
            yield ("try_bind" if mount.optional else "bind"), _words(source, target)


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
    """An absolute path, or one below the generation, or below an install that may be moved."""
    own = {"$GENERATION"} | ({"$PREFIX"} if plan.relocatable else set())
    if path.parts and path.parts[0] in own and ".." not in path.parts:
        return str(path)
    return _path(key, path)


def _target(target: str, plan: LaunchPlan) -> str:
    """Where an image is mounted: an absolute path, or one below an install that may be moved."""
    if PurePath(target).parts[:1] == ("$GENERATION",):
        raise _unwritable("image", target, "nothing is mounted in the directory of a generation")
    return _own_path("image", PurePath(target), plan)


def _place(place: str, plan: LaunchPlan, *, inside: bool = False) -> str:
    """The side of a bind: an absolute path, perhaps after a variable; ``inside`` is the target."""
    name, slash, rest = place.partition("/")
    variable = re.fullmatch(r"\$[A-Z_]+", name)
    if (name and not variable) or not (variable or slash) or ".." in rest.split("/"):
        raise _unwritable("bind", place, "it must be an absolute path, or begin with a variable")
    if name == "$PREFIX" and not plan.relocatable:
        raise _unwritable("bind", place, "the install cannot be moved")
    if name == "$GENERATION" and inside:
        raise _unwritable("bind", place, "nothing is mounted in the directory of a generation")
    return place


def _number(key: str, generation: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,17}", generation):
        raise _unwritable(key, generation, "a generation has a number from 1 on")
    return generation


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
