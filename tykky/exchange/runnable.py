"""A stack in one executable file, which runs where there is no Tykky.

The program ``runnable`` (see ``runtime/launcher/runnable``) finds behind itself how the stack is
entered, its images, those of what it needs and the one that it runs on, and an image server.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, BinaryIO

from tykky.build.entering import Entering, launch_plan
from tykky.errors import Exit, StoreError, explained
from tykky.exchange.pushing import needed
from tykky.files import replacing, usual_mode
from tykky.runtime import native
from tykky.runtime.base import (
    CONF_NAME,
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
    image_path,
    render,
)
from tykky.store import Record
from tykky.tools import loading, overlay

if TYPE_CHECKING:
    from tykky.config import Config

_PAGE = 4096
_PIECE = 1 << 20
_END = "tykky-runnable 1 {:016x} {:016x}\n"
_ROOT = "root.sqfs"


@dataclass(frozen=True)
class Part:
    """What is appended: ``data``, or a piece of a file, which is held against a ``sha256``."""

    name: str
    data: bytes = b""
    path: Path | None = None
    offset: int = 0
    size: int = 0
    sha256: str = ""


@dataclass
class Runnable:
    """How a stack is entered from one file, what goes into it, and what is left out of it."""

    plan: LaunchPlan
    parts: list[Part] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def prepare(record: Record, config: Config) -> Runnable:
    """What makes a file of an install. Raises ``TykkyError`` if it cannot be one."""
    if record.arch and record.arch != platform.machine():
        cause = f"{record.title} is for {record.arch}, and this machine is {platform.machine()}"
        raise StoreError(cause, remedy="export it on one of its kind", code=Exit.CONFLICT)
    records = {each.prefix: each for each in (*needed(record), record)}
    plans = {prefix: _plan(each, config) for prefix, each in records.items()}
    own = plans[record.prefix]
    if own.runtime is Runtime.APPTAINER:
        raise _refused(record, "it is entered by Apptainer, which the file cannot have in it")
    made = Runnable(own)
    for each in dict.fromkeys(_mounts(record.prefix, plans, set())):
        if isinstance(each, Bind) and not each.optional:
            made.left_out.append(f"{each.source}, which is bound where a machine has it")
    if not own.root:
        system = record.base.get("id") or "like here"
        made.left_out.append(f"the system of this machine ({system}), which it uses")
    if record.loads:
        made.left_out.append(f"what the modules {', '.join(record.loads)} set")
    made.plan = _whole(record, plans)
    made.parts += _images(records, plans)
    if own.root:
        made.parts.append(_root(record, own.root))
    return made


def write(path: Path, made: Runnable, config: Config, say: Callable[[str], None]) -> int:
    """Write the file; its size. Raises ``TykkyError``; then there is none, or the one before."""
    server = Path(overlay.find_server(config.server))
    helpers = {overlay.SERVER: server, **loading.files(server)}
    parts = [
        Part(CONF_NAME, render(made.plan).encode()),
        *(Part(f"server/{name}", helpers[name].read_bytes()) for name in sorted(helpers)),
        *made.parts,
    ]
    with explained(f"write {path}", "-o"), replacing(path) as file:
        file.write(native.program("runnable").read_bytes())
        table = ""
        for number, part in enumerate(parts, 1):
            say(f"part {number} of {len(parts)}")
            _pad(file)
            start = file.tell()
            _add(file, part)
            table += f"{part.name} {start} {file.tell() - start}\n"
        _pad(file)
        start = file.tell()
        file.write(table.encode())
        size = file.tell() + len(_END.format(0, 0))
        file.write(_END.format(start, size).encode())
        file.flush()
        os.fsync(file.fileno())
        os.fchmod(file.fileno(), usual_mode(0o777))
        return size


# --- how it is entered -----------------------------------------------------------------------


def _plan(record: Record, config: Config) -> LaunchPlan:
    """What the commands of an install are told, with its own paths in it as they are."""
    entering = Entering.read(record.launch)
    place, number = Path(record.prefix), record.generation
    made = launch_plan(
        entering, record.module, place, number, record.images, record.commands, config
    )
    own = f"{place}/.tykky/generations/{number}"

    def there(text: str) -> str:
        first, slash, rest = text.partition("/")
        first, colon, more = first.partition(":")
        known = {"$PREFIX": str(place), "$GENERATION": own}
        return f"{known.get(first, first)}{colon}{more}{slash}{rest}"

    mounts: list[Mount] = []
    commands = made.commands
    for mount in made.mounts:
        match mount:
            case Root(path, offset, size):
                mounts.append(Root(PurePath(there(str(path))), offset, size))
            case ImageMount():
                mounts.append(replace(mount, target=there(mount.target)))
            case Bind("$GENERATION/bin", "$PREFIX/bin"):  # the links of a classic install
                commands = tuple(_links(Path(own, "bin")))
            case Bind("$PREFIX", "$PREFIX"):
                pass  # in which these are found
            case Bind(source, target, optional):
                mounts.append(Bind(there(source), there(target), optional))
            case Need():
                mounts.append(mount)
    for mount in mounts:
        if isinstance(mount, Bind) and mount.source.startswith(f"{place}/"):
            raise _refused(record, f"{mount.source} of the install is bound over {mount.target}")
    changes = (*made.activation, *made.environment)
    environment = tuple(replace(change, value=there(change.value)) for change in changes)
    return replace(
        made, mounts=tuple(mounts), environment=environment, activation=(), commands=commands
    )


def _links(folder: Path) -> Iterator[Command]:
    """The commands that are links to programs inside."""
    with explained(f"read {folder}"):
        for link in sorted(folder.iterdir()):
            if link.is_symlink() and (target := link.readlink()).is_absolute():
                yield Command(link.name, target)


def _whole(record: Record, plans: dict[str, LaunchPlan]) -> LaunchPlan:
    """One plan of an install and all that it needs; what its module sets is set, too."""
    own = plans[record.prefix]
    mounts = tuple(
        replace(each, optional=True) if isinstance(each, Bind) else each
        for each in _mounts(record.prefix, plans, set())
    )
    order = [record.prefix]
    for prefix in order:
        needs = (str(each.place) for each in plans[prefix].mounts if isinstance(each, Need))
        order += [each for each in needs if each not in order]
    programs = {command.name: command.program for command in own.commands}
    folder = PurePath(own.images[-1].target if own.images else record.prefix, "bin")
    if not own.relocatable:
        programs = {name: programs.get(name, folder / name) for name in record.commands}
    folders = dict.fromkeys(program.parent for program in programs.values())
    path = ":".join(map(str, folders or (folder,)))
    module = [
        EnvChange(EnvAction.SET, name, str(value))
        for name, value in record.shown.get("setenv", {}).items()
    ]
    return replace(
        own,
        mounts=((Root(PurePath(f"/{_ROOT}")), *mounts) if own.root else mounts),
        environment=(
            *module,
            EnvChange(EnvAction.PREPEND, "PATH", path),
            *(change for prefix in reversed(order) for change in plans[prefix].environment),
            *([EnvChange(EnvAction.PREPEND, "PATH", path)] if own.relocatable else ()),
        ),
        commands=tuple(Command(*each) for each in programs.items()),
        runtime=Runtime.NATIVE,
        relocatable=False,
        refuse_other_stacks=False,
        gpu="",
        servers=(),
        container=None,
        apptainers=(),
        options=(),
    )


def _mounts(prefix: str, plans: dict[str, LaunchPlan], done: set[str]) -> Iterator[Mount]:
    """All but roots, in the order in which the launcher makes them."""
    done.add(prefix)
    for mount in plans[prefix].mounts:
        if not isinstance(mount, Need | Root):
            yield mount
        elif isinstance(mount, Need) and str(mount.place) not in done:
            yield from _mounts(str(mount.place), plans, done)


def _refused(record: Record, why: str) -> StoreError:
    remedy = "'tykky push' and 'tykky bundle' take it to other machines that have Tykky"
    return StoreError(
        f"{record.title} cannot become one file: {why}", remedy=remedy, code=Exit.CONFLICT
    )


# --- what goes into it -----------------------------------------------------------------------


def _images(records: dict[str, Record], plans: dict[str, LaunchPlan]) -> Iterator[Part]:
    seen = set()
    for prefix, record in records.items():
        digests = {image["file"]: str(image["sha256"]) for image in record.images}
        for image in plans[prefix].images:
            if image.file not in seen:
                seen.add(image.file)
                path = image_path(Path(prefix), image.file)
                name = f"images/{image.file}"
                yield Part(name, b"", path, 0, image.size, digests[image.file])


def _root(record: Record, root: Root) -> Part:
    """The squashfs that is entered as ``/``, without what it lies in."""
    path = Path(root.path)
    if path.is_dir():
        raise _refused(record, f"it is entered through a directory, {path}")
    with explained(f"read {path}"), path.open("rb") as file:
        file.seek(root.offset)
        head = file.read(48)
    if head[:4] != b"hsqs":
        raise StoreError(f"{path} is damaged: it has no squashfs", code=Exit.DAMAGED)
    return Part(_ROOT, b"", path, root.offset, int.from_bytes(head[40:48], "little"))


def _add(file: BinaryIO, part: Part) -> None:
    if part.path is None:
        file.write(part.data)
        return
    digest, left = hashlib.sha256(), part.size
    with part.path.open("rb") as source:
        source.seek(part.offset)
        while left and (piece := source.read(min(left, _PIECE))):
            digest.update(piece)
            file.write(piece)
            left -= len(piece)
        more = bool(part.sha256) and source.read(1)
    if left or more or part.sha256 not in ("", digest.hexdigest()):
        cause = f"{part.path} is not what was installed"
        remedy = "'tykky verify' says what brings it back"
        raise StoreError(cause, remedy=remedy, code=Exit.DAMAGED)


def _pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % _PAGE))
