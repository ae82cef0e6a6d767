"""How an install is entered: which files of the host its programs see, and with which runtime.

What an install needs is kept in its record; what the site wants (mount points, servers) is taken
from the configuration whenever the commands are made, at first and by ``tykky refresh``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.bases import PATH, Base, ImageBase, StackBase
from tykky.build.gpu import KINDS, kind, libraries
from tykky.build.mpi import STARTS
from tykky.errors import Exit, StoreError
from tykky.recipe import guarded
from tykky.runtime.base import (
    Bind,
    Command,
    EnvAction,
    EnvChange,
    ImageMount,
    LaunchPlan,
    Mount,
    Need,
    Root,
    Runtime,
)
from tykky.store.record import is_a
from tykky.tools.squash import DIGITS

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.kinds.stack import Stack
    from tykky.store import Record

#: What the launcher knows the folder of its generation by.
OWN = "$GENERATION"
#: What a distribution consists of: seen at each level if the base is the host.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/var")
#: What says who and where we are; an image knows nothing of that.
_IDENTITY = (
    *("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/var/lib/sss"),
    *("/etc/hosts", "/etc/resolv.conf", "/etc/localtime"),
)
#: Directories that an image has as well, and that are the host's when everything is visible.
_SHARED = ("/home", "/root", "/tmp", "/var/tmp", "/mnt", "/media", "/srv", "/run", "/var/spool")
_TRIPLES, _ACTIONS = "tuple[tuple[str, str, str], ...]", {each.value for each in EnvAction}
#: What users have with them; only $PWD makes commands in different directories enter separately.
_OWN = {
    "open": ("$HOME", "$TMPDIR"),
    "mounts": ("/tmp", "/var/tmp", "$HOME", "$TMPDIR", "$PWD"),
    "closed": ("/tmp", "/var/tmp", "$TMPDIR", "$PWD"),
}


@dataclass(frozen=True)
class Entering:
    """What must be known of an install to make its commands again.

    ``of_image``, ``environment``, ``activation`` and ``defaults`` are triples of action, name and
    value: what a base image sets, what the recipe sets, what activation does, and what the contents
    need (``{image}`` in a value is one for each content). ``root`` is the image or directory that
    is entered as ``/``, empty for the host's own; ``bare`` are directories that an image leaves
    empty. ``binds`` are pairs of a place on the host and one inside; ``mounts`` are places that are
    visible if they are there; ``needs`` pairs of a place and the number of a generation of it, and
    ``needed_images`` the images of each, as records name them. With ``relocatable``, the install
    may be moved, and ``$PREFIX`` is where it lies. ``mpi`` is what is known of its MPI
    (see :mod:`tykky.build.mpi`).
    """

    runtime: str = "native"
    isolation: str = "open"
    of_image: tuple[tuple[str, str, str], ...] = ()
    environment: tuple[tuple[str, str, str], ...] = ()
    activation: tuple[tuple[str, str, str], ...] = ()
    root: str = ""
    root_offset: int = 0
    root_size: int = 0
    bare: tuple[str, ...] = ()
    mount_at: str = ""
    needs: tuple[tuple[str, str], ...] = ()
    needed_images: tuple[str, ...] = ()
    binds: tuple[tuple[str, str], ...] = ()
    mounts: tuple[str, ...] = ()
    relocatable: bool = False
    gpu: str = ""
    defaults: tuple[tuple[str, str, str], ...] = ()
    mpi: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Entering:
        """The same from the JSON of a record. Raises ``StoreError`` if that is damaged."""
        known = {field.name: str(field.type) for field in fields(cls)}
        values = {key: _frozen(value) for key, value in data.items() if key in known}
        for key, value in values.items():
            good = is_a(known[key], value)
            if good and known[key] == _TRIPLES:
                good = all(len(each) == 3 and each[0] in _ACTIONS for each in value)
            if good and key == "mpi":
                good = dict(value).get("start", "") in ("", *STARTS)
            if not good or (key == "gpu" and value and value not in KINDS):
                cause = f"the record says '{key}: {value}' of how the install is entered"
                raise StoreError(cause, remedy="install it again", code=Exit.DAMAGED)
        return cls(**values)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def as_built(
    recipe: Stack,
    base: Base,
    prefix: Path,
    needs: tuple[Record, ...],
    more: Mapping[str, str],
    config: Config,
) -> Entering:
    """How a new install is entered; ``more`` are variables that the image sets by scripts."""
    plain = Entering(mount_at=str(recipe.mount_at() or ""), **of_needs(needs))
    return as_published(replace(plain, **of_base(base, str(prefix), more)), recipe, config)


def as_published(entering: Entering, recipe: Stack, config: Config) -> Entering:
    """The same with what a recipe says of it now, which changes nothing of the contents."""
    return replace(
        entering,
        runtime=_chosen(recipe, config, "runtime"),
        isolation=_chosen(recipe, config, "isolation"),
        environment=(
            *triples(recipe.shields(config)),
            *(("set", name, value) for name, value in guarded(recipe, "env").items()),
        ),
        binds=tuple(_pair(text) for text in guarded(recipe, "binds")),
        gpu=kind(guarded(recipe, "gpu")),
    )


def of_needs(needs: Sequence[Record]) -> dict[str, Any]:
    """What names the generations of other places that one needs, as fields of ``Entering``."""
    return {
        "needs": tuple((record.prefix, str(record.generation)) for record in needs),
        "needed_images": tuple(record.names_of_images for record in needs),
    }


def of_base(base: Base, prefix: str, more: Mapping[str, str]) -> dict[str, Any]:
    """What an image gives, as fields of ``Entering``: its variables, and itself as the root."""
    base = base.below if isinstance(base, StackBase) else base
    if not isinstance(base, ImageBase):
        return {}
    known = {**base.environment, **more}
    found: dict[str, Any] = {"of_image": tuple(_image_environment(base, known, prefix))}
    if base.file is None:
        return {**found, "root": str(base.directory)}
    return {
        **found,
        "root": str(base.file.path),
        "root_offset": base.file.offset,
        "root_size": base.file.bytes,
        "bare": tuple(path for path in ("/opt", "/srv", "/run") if not base.listing.inside(path)),
    }


def _chosen(recipe: Stack, config: Config, key: str) -> str:
    """The recipe's own wish, unless it was asked for something else just now."""
    asked = config.origin(key).scope in ("environment", "flags")
    return str((not asked and guarded(recipe, key)) or config.get(key))


def _pair(text: str) -> tuple[str, str]:
    source, _, target = text.partition(":")
    return source, target or source


#: What says who works where, and how: an image knows that of who made it.
_OF_THE_USER = frozenset(
    ("HOME", "USER", "LOGNAME", "TMPDIR", "PWD", "OLDPWD", "HOSTNAME", "TERM", "DISPLAY", "SHLVL")
)


def _image_environment(
    base: ImageBase, known: Mapping[str, str], prefix: str
) -> Iterator[tuple[str, str, str]]:
    """What an image sets. The host's library path and shell start-up file are not for it.

    ``known`` are its variables; the stack's own commands at ``prefix`` come before its programs.
    """
    variables = {name: value for name, value in known.items() if name not in _OF_THE_USER}
    # Where Apptainer puts libraries of the host; with its runtime, it sets that itself.
    paths = variables.pop("LD_LIBRARY_PATH", "").split(":")
    if paths := [path for path in paths if path and path != "/.singularity.d/libs"]:
        variables["LD_LIBRARY_PATH"] = ":".join(paths)
    path = dict.fromkeys(variables.pop("PATH", base.path).split(":"))
    # Those that only the image has come first. The others are in everybody's PATH already, and
    # must not get in front of the stack's own directory or a virtual environment on top.
    if first := [folder for folder in path if folder and folder not in PATH.split(":")]:
        yield "prepend", "PATH", ":".join([f"{prefix}/bin", *first])
    if usual := [folder for folder in path if folder and folder not in first]:
        yield "append", "PATH", ":".join(usual)
    for name in ("LD_LIBRARY_PATH", "LD_PRELOAD", "BASH_ENV", "ENV"):
        if name not in variables:
            yield "unset", name, ""
    for name, value in variables.items():
        yield "set", name, value


def launch_plan(
    entering: Entering,
    name: str,
    place: Path,
    generation: int,
    images: Sequence[Mapping[str, Any]],
    commands: tuple[str, ...],
    config: Config,
) -> LaunchPlan:
    """What the launcher is told; ``images`` as a record has them, the lowest first."""
    target = entering.mount_at or ("$PREFIX" if entering.relocatable else str(place))
    own = [ImageMount(i["file"], i["bytes"], target, layer="parent" in i) for i in images]
    more, variables, options = libraries(entering.gpu, rooted=_root(entering) is not None)
    is_open = entering.isolation == "open"
    if not is_open:  # the home of $HOME is bound, and only where it shall be
        options = (*options, "--no-mount=home")
    mpi = dict(entering.mpi)
    # One that may be moved has links to its programs over its commands.
    inside = commands if entering.mount_at and not entering.relocatable else ()
    return LaunchPlan(
        name=name,
        prefix=place,
        generation=str(generation),
        mounts=_mounts(entering, own, _places(entering, config), more),
        environment=(
            *variables,
            *_changes(*entering.of_image, *_defaults(entering, images), *entering.environment),
        ),
        activation=_changes(*entering.activation),
        runtime=Runtime(entering.runtime),
        relocatable=entering.relocatable,
        host_roots=is_open and (bool(entering.root) or entering.runtime != "native"),
        commands=tuple(
            Command(command, Path(entering.mount_at, "bin", command)) for command in inside
        ),
        refuse_other_stacks=entering.isolation == "closed",
        gpu=entering.gpu,
        mpi=mpi.get("start", ""),
        mpi_library=_library(entering, mpi),
        extends=f"{images[0]['parent'][:DIGITS]}.sqfs" if images and own[0].layer else "",
        servers=(Path(config.server),) if config.server else (),
        container=_container(entering),
        options=options,
        idle=config.idle,
    )


def _library(entering: Entering, mpi: Mapping[str, str]) -> Path | None:
    """The host's library of MPI, which another node may not have."""
    is_of_host = mpi.get("declared") == "host" and not entering.root
    return Path(mpi["library"]) if is_of_host and mpi.get("library", "")[:1] == "/" else None


def triples(changes: Iterable[EnvChange]) -> tuple[tuple[str, str, str], ...]:
    """Changes as a record has them."""
    return tuple((change.action.value, change.name, change.value) for change in changes)


def _changes(*found: tuple[str, str, str]) -> tuple[EnvChange, ...]:
    return tuple(EnvChange(EnvAction(action), name, value) for action, name, value in found)


def _defaults(
    entering: Entering, images: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str, str]]:
    content = "-".join(str(image["sha256"])[:16] for image in images)
    for action, name, value in entering.defaults:
        yield action, name, value.replace("{image}", content)


def _mounts(
    entering: Entering, own: Sequence[ImageMount], places: Sequence[Bind], more: Sequence[Bind]
) -> tuple[Mount, ...]:
    """All mounts in their order: images over the places of the host, binds over these.

    Binds are the recipe's own and ``more``; but what would cover an image comes before it.
    """
    binds = [*(Bind(*pair) for pair in entering.binds), *more]
    known = chain(entering.needed_images, repeat(""))  # an earlier Tykky has noted none
    pairs = zip(entering.needs, known, strict=False)
    needs = [Need(Path(need[0]), need[1], each) for need, each in pairs]
    covered = [*(image.target for image in own), *(place for place, _ in entering.needs)]
    root = _root(entering)

    def holds(bind: Bind) -> bool:
        return any(path.startswith(f"{bind.target.rstrip('/')}/") for path in covered)

    first = [bind for bind in binds if holds(bind)]
    last = [bind for bind in binds if not holds(bind)]
    return (*([root] if root else ()), *places, *first, *needs, *own, *last)


def _root(entering: Entering) -> Root | None:
    if entering.root:
        return Root(Path(entering.root), entering.root_offset, entering.root_size)
    # Of the host, less than everything: a root that has nothing but what is bound into it.
    return None if entering.isolation == "open" else Root(Path(OWN, "root"))


def _container(entering: Entering) -> Path | None:
    """What Apptainer enters. Where that is the host, a directory that has only its names."""
    if entering.root:
        return Path(entering.root)
    if entering.isolation != "open":
        return Path(OWN, "root")
    return Path(OWN, "host") if entering.runtime != "native" else None


def _places(entering: Entering, config: Config) -> list[Bind]:
    """What of the host is there besides the root, in the order in which it is put there."""
    if not entering.root and entering.isolation == "open":
        return []
    places = [*(_IDENTITY if entering.root else _SYSTEM)]
    if entering.isolation == "open":
        places += [*_SHARED, *entering.bare]
    if entering.isolation == "mounts":
        places += map(str, config.mount_points)
    every = dict.fromkeys((*places, *entering.mounts, *_OWN[entering.isolation]))
    return [Bind(place, place, optional=True) for place in every]
