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
    """Another install, of exactly this generation: what it mounts is mounted here.

    ``images`` are the names of its images, joined by commas; without them, the number has to do.
    """

    place: Path
    generation: str
    images: str = ""


@dataclass(frozen=True)
class ImageMount:
    """An image in ``<place>/.tykky/images``, of ``size`` bytes, that covers ``target``.

    ``target`` is mostly the place itself; it need not exist on the host, and may begin with
    ``$PREFIX``. A ``layer`` is laid over the image, and the layers, at its target before it: all
    of these are there, and of one name the last one's.
    """

    file: str
    size: int
    target: str
    layer: bool = False


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
    or ``amd``) lets commands say on a terminal that a node has none. ``mpi`` (``openmpi``,
    ``pmix``, ``pmi`` or ``slurm``) is what has to start its MPI programs, of which the first says
    so if it was something else, or if the node has no ``mpi_library``.

    With ``extends``, the first image is a layer on that one of what is needed, and on no other; its
    commands are told that they are where that lies.

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
    mpi: str = ""
    mpi_library: PurePath | None = None
    extends: str = ""
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
    def sources(self) -> list[Path]:
        """What of the host it cannot do without: roots, places and binds, but for what varies."""
        found = [self.container] if self.container is not None else []
        for mount in self.mounts:
            match mount:
                case Root(path):
                    found.append(path)
                case Need(place):
                    found.append(place)
                case Bind(source, _, False):
                    found.append(PurePath(source))
        paths = (*found, *self.servers, *(path.parent for path in self.apptainers))
        return [Path(path) for path in paths if path.is_absolute() and path != Path("/")]

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


_PATH = "it must be an absolute path without '..'"
_OWN = r"\$(PREFIX|GENERATION)(/.*)?"
_VARIABLE = r"\$[A-Z_]+(/.*)?"

# What a word can be, by the letter that the launcher's conf.c has for it.
_KINDS = {
    "p": (r"/.*", _PATH),
    "o": (rf"/.*|{_OWN}", _PATH),
    "t": (r"/.*|\$PREFIX(/.*)?", f"{_PATH}, and not in the directory of a generation"),
    "s": (rf"/.*|{_VARIABLE}", f"{_PATH}, or begin with a variable"),
    "d": (
        rf"/.*|(?!\$GENERATION(/|$)){_VARIABLE}",
        f"{_PATH}, or begin with a variable; nothing is mounted in the directory of a generation",
    ),
    "f": (r"[^./][^/]*", "it must be the plain name of a file"),
    "#": (r"[1-9][0-9]{0,17}", "it must be a number from 1 on"),
    "n": (r"[0-9]+", "it must be a number"),
    "-": (r"-.*", "it does not begin with '-'"),
}
_ESCAPES = {ord(c): f"\\{ord(c):03o}" for c in "\\ \t"}
"""In a value of several words, what would end one is written as in /etc/fstab."""


def render(plan: LaunchPlan) -> str:
    """Return the text of ``launch.conf`` for a plan.

    Raises ``TykkyError`` if a value cannot be written in this format: a newline or a NUL
    byte, a relative path, a name with ``=``, no image and no root, a root after another mount.
    """
    header = "# How commands enter this generation of the install. Written by tykky; do not edit.\n"
    return header + "".join(
        f"{key} {_value(key, kinds, words, plan)}\n" for key, kinds, *words in _lines(plan)
    )


def _lines(plan: LaunchPlan) -> Iterator[tuple[str, ...]]:
    """The keys, each with the kinds of its words (none: it is one text), and the words."""
    yield "format", "", str(CONF_FORMAT)
    yield "name", "", plan.name
    yield "prefix", "p", str(plan.prefix)
    yield "generation", "#", plan.generation
    yield "runtime", "", plan.runtime.value
    if plan.relocatable:
        yield "relocatable", "", "yes"
    if plan.extends:
        yield "extends", "f", plan.extends
    if plan.container is not None:
        yield "container", "o", str(plan.container)
    if plan.host_roots:
        yield "host_roots", "", "yes"
    if not plan.images and plan.root is None and plan.container is None:
        raise _unwritable("mounts", "", "there must be an image, a root or a container")
    for index, mount in enumerate(plan.mounts):
        if index > 0 and isinstance(mount, Root):
            raise _unwritable("root", str(mount.path), "it must come before other mounts")
        yield _mount(mount)
    for command in plan.commands:
        yield "command", "fp", command.name, str(command.program)
    if plan.refuse_other_stacks:
        yield "other_stacks", "", "refuse"
    if plan.gpu:
        yield "gpu", "", plan.gpu
    if plan.mpi:
        yield "mpi", "", plan.mpi
    if plan.mpi_library is not None:
        yield "mpi_library", "p", str(plan.mpi_library)
    for change in plan.activation:
        yield "activate", "", f"{change.action.value} {_change(change)}"
    for change in plan.environment:
        yield change.action.value, "", _change(change)
    yield "idle", "", str(plan.idle)
    yield "idle_step", "", str(plan.idle_step)
    yield from (("server", "p", str(path)) for path in plan.servers)
    yield from (("apptainer", "p", str(path)) for path in plan.apptainers)
    yield from (("option", "-", option) for option in plan.options)


def _mount(mount: Mount) -> tuple[str, ...]:
    match mount:
        case Root(path, offset, size):
            return "root", "onn", str(path), str(offset), str(size)
        case Need(place, generation, images):
            words = [str(place), generation, *([images] if images else [])]
            return "need", "p#f"[: len(words)], *words
        case ImageMount(file, size, target, layer):
            key = "layer" if layer else "image"
            return key, "f#t", file, str(size), str(PurePath(target))
        case Bind(source, target, optional):
            return "try_bind" if optional else "bind", "sd", source, target


def _change(change: EnvChange) -> str:
    action = change.action.value
    if not change.name or set(change.name) & set("= "):
        raise _unwritable(action, change.name, "it is not the name of a variable")
    if change.action is EnvAction.UNSET:
        return change.name
    if not change.value and change.action is not EnvAction.SET:
        raise _unwritable(action, change.name, "there is nothing to add")
    return f"{change.name} {change.value}"


def _value(key: str, kinds: str, words: list[str], plan: LaunchPlan) -> str:
    for kind, word in zip(kinds, words, strict=kinds != ""):
        pattern, why = _KINDS[kind]
        first, *names = word.split("/")
        if (".." in names and kind != "-") or not re.fullmatch(pattern, word, re.DOTALL):
            raise _unwritable(key, word, why)
        if kind in "otsd" and first == "$PREFIX" and not plan.relocatable:
            raise _unwritable(key, word, "the install cannot be moved")
    value = " ".join(word.translate(_ESCAPES) if len(kinds) > 1 else word for word in words)
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
