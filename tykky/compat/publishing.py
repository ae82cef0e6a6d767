"""What a classic install consists of, and how a new state of it takes the place of the old one.

::

    bin/            the commands
    _bin            what lies over them inside: links to their programs
    common.sh       what kind of installation it is, for people and older tools
    container.sif   the container, if there is one
    img.sqfs        the image
    pyvenv.cfg, lib, lib64          of a Python environment: a copy, and links into the image
    share/conf.yaml, share/VERSION.yml, share/previous_input/N/
    .tykky/         images by their digests, launch.conf, the record

All files of the new state are written in a folder of their own, tried there through the commands
themselves, and flushed; what remains are renames, of which that of ``launch.conf`` counts. What
runs keeps the old image and the old links, which stay until the next update.

Public names: ``State``, ``publish``, ``check_prefix``, ``keep_inputs``, ``sweep``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import contents
from tykky.bases import ImageBase
from tykky.build import commands
from tykky.build.commit import keep_log
from tykky.build.entering import Entering, image_environment, launch_plan
from tykky.compat import layout, wrapping
from tykky.compat.job import Job, Kind, copied
from tykky.compat.old import STATE, in_use
from tykky.errors import Exit, StepError, StoreError, TykkyError, from_os_error
from tykky.files import Permissions, count, discard, make_folder, sync, write_file
from tykky.host import host_name, user_name
from tykky.store import HIDDEN, Record, Store
from tykky.store import record as records
from tykky.store.record import Step
from tykky.tools.squash import Image

if TYPE_CHECKING:
    from tykky.bases import Base
    from tykky.contents import Installed
    from tykky.runtime.base import EnvChange

#: The folder in which a new state is put together, and what was in the way of one.
_NEW, _REPLACED = "new", "replaced"


@dataclass(frozen=True)
class State:
    """All that is known of the state that is to be published."""

    job: Job
    kind: Kind
    key: str
    name: str
    recipe: Path
    image: Image | None
    wrapped: wrapping.Wrapped
    contents: tuple[Installed, ...]
    activation: tuple[EnvChange, ...]
    image_environment: Mapping[str, str]
    library: str
    pyvenv: bytes
    base: Base
    steps: tuple[Step, ...]
    log: Path

    @property
    def links(self) -> str:
        """The name of the folder that lies over that of the commands, by what is in it."""
        from tykky.lock import digest_of

        what = [dict(self.wrapped.programs), wrapping.environ_text(self.job)]
        return f"bin-{digest_of(what)[:16]}"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all commands."""
        return tuple(sorted((*self.wrapped.programs, *wrapping.DEBUG)))


def check_prefix(job: Job) -> None:
    """Raise ``TykkyError`` if nothing can be installed at the prefix, before anything is built."""
    prefix = job.prefix
    there = prefix
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise TykkyError(
            f"you may not install in {prefix}: {there} is not writable",
            remedy="give another directory: --prefix DIR",
            code=Exit.NOT_WRITABLE,
        )
    if ":" in str(prefix) or "\n" in str(prefix):
        raise TykkyError(
            f"the prefix has a colon or a line break in it, which PATH cannot hold: {prefix}",
            remedy="give another directory: --prefix DIR",
            code=Exit.PATH_TOO_LONG,
        )
    is_install = (prefix / "common.sh").is_file()
    for name in ("bin", "share", "lib"):
        if not is_install and job.old is None and (prefix / name).exists():
            raise StoreError(
                f"{prefix} has a '{name}' of something else in it",
                remedy="give a directory of its own: --prefix DIR",
                code=Exit.CONFLICT,
            )
    if (prefix / HIDDEN / "record.json").exists() and not is_install:
        raise StoreError(
            f"{prefix} is an install of a recipe",
            remedy="give another directory: --prefix DIR",
            code=Exit.CONFLICT,
        )


def keep_inputs(job: Job, folder: Path) -> None:
    """Keep the user's files in the next numbered folder."""
    number = 0
    while (folder / str(number)).exists():
        number += 1
    target = folder / str(number)
    target.mkdir(parents=True)
    for name, path in job.inputs.items():
        (target / name).write_bytes(copied(path))


def sweep(job: Job) -> None:
    """Remove what calls that were killed left, and what is older than the state before."""
    hidden = job.prefix / HIDDEN
    keep = set(in_use(hidden))
    for path in hidden.iterdir():
        old = path.name.startswith(("img-", "bin-")) and keep and path.name not in keep
        if old or path.name in (_NEW, _REPLACED, "image.new"):
            discard(path)


def publish(state: State, store: Store, made: list[Path], say: Callable[[str], None]) -> Record:
    """Put the new state in the place of the old one. ``made`` is told what to remove if it fails.

    Raises ``TykkyError``; then the installation is as it was.
    """
    hidden = state.job.prefix / HIDDEN
    new = hidden / _NEW
    made.append(new)
    try:
        _lay_links(state, hidden, store.permissions, made)
        record = _prepare(state, store, new)
        _try(state, new, say)
        _flush(new)
    except OSError as error:
        raise from_os_error(error, f"write {state.job.prefix}") from error
    made.clear()
    _replace(state, record, store, new)
    return record


def _lay_links(state: State, hidden: Path, permissions: Permissions, made: list[Path]) -> None:
    folder = hidden / state.links
    if folder.is_dir() or state.job.is_bound:
        return
    temporary = hidden / f".{state.links}"
    discard(temporary)
    made += [temporary, folder]
    bash = state.base.which("/bin/bash") is not None
    environ = wrapping.environ_text(state.job)
    wrapping.lay_links(temporary, state.wrapped, environ, bash)
    permissions.apply(temporary)
    for path in temporary.iterdir():
        if not path.is_symlink():
            permissions.apply(path, executable=True)
    temporary.rename(folder)


# -- the new state, beside the old one ---------------------------------------------------------


def _way(state: State) -> Entering:
    """How it is entered."""
    job, values = state.job, state.job.values
    environment = [("set", "install_root", str(job.inside))]
    if state.kind.below or state.kind.wrapped():
        environment.append(("set", "env_root", f"{state.kind.root}/"))
    environment.append(("set", "_CW_IN_CONTAINER", "Yes"))
    environment.append(("set", "_CW_IS_ISOLATED", "yes" if values["isolate"] else "no"))
    environment += wrapping.fixed_environment(job)
    libraries = [*state.wrapped.libraries, *values.get("wrapper_ld_library_paths", ())]
    if libraries:
        environment.append(("append", "LD_LIBRARY_PATH", ":".join(libraries)))
    activation = tuple(
        _of_prefix(state, change.action.value, change.name, change.value)
        for change in state.activation
    )
    isolated = bool(values["isolate"])
    way = Entering(
        runtime=str(job.config.runtime),
        isolation="mounts" if isolated else "open",
        environment=tuple(environment),
        activation=activation,
        mount_at="" if job.is_bound or state.image is None else str(job.inside),
        relocatable=not job.is_bound,
    )
    if not job.is_bound:
        over = f"$PREFIX/{HIDDEN}/{state.links}"
        seen = (("$PREFIX", "$PREFIX"),) if isinstance(state.base, ImageBase) else ()
        way = replace(way, binds=(*seen, (over, "$PREFIX/bin")))
    if isolated:
        way = replace(way, mounts=tuple(values["mount_points"]))
    if isinstance(state.base, ImageBase):
        place = "$PREFIX" if way.relocatable else str(job.prefix)
        of_image = image_environment(state.base, state.image_environment, place)
        file = state.base.file
        way = replace(
            way,
            environment=(*of_image, *environment),
            root=f"{place}/{values['container_image']}",
            root_offset=file.offset if file else 0,
            root_size=file.bytes if file else 0,
        )
    return way


def _of_prefix(state: State, action: str, name: str, value: str) -> tuple[str, str, str]:
    """What activation puts on PATH are the commands: their path is the same inside and outside."""
    if not state.job.is_bound and value == f"{state.kind.root}/bin":
        return action, name, "$PREFIX/bin"
    if name == "CONDA_DEFAULT_ENV" and value == str(state.kind.root):
        return action, name, str(state.job.values["env_name"])  # as after "conda activate env1"
    return action, name, value


def _prepare(state: State, store: Store, new: Path) -> Record:
    """Write everything but image and links into a folder that looks like the prefix."""
    discard(new)
    permissions = store.permissions
    job = state.job
    make_folder(new / HIDDEN, permissions)
    if state.image is not None:
        (new / HIDDEN / state.image.file).symlink_to(f"../../{state.image.file}")
    if not job.is_bound:
        (new / HIDDEN / state.links).symlink_to(f"../../{state.links}")
    way = _way(state)
    image = state.image or Image("", "", 0)
    module = f"{state.name}/1"
    plan = launch_plan(way, module, job.prefix, image, state.names, job.config)
    # Made there, and entered from there while it is tried.
    commands.make(plan, state.names, permissions, at=new)
    layout.write(state, new, permissions)
    _write_state(state, new, permissions)
    (new / HIDDEN / "recipe.py").write_bytes(state.recipe.read_bytes())
    if state.contents:
        text = contents.render(state.contents)
        write_file(new / HIDDEN / contents.FILE, text.encode(), permissions)
    keep_log(state.log, new, permissions)
    record = _record(state, way, module)
    present = count(new) + 1
    record = replace(record, files=present)
    write_file(new / HIDDEN / "record.json", records.render(record), permissions)
    return record


def _write_state(state: State, new: Path, permissions: object) -> None:
    data = {
        "format": 1,
        "image": state.image.file if state.image else "",
        "links": state.links,
        "environ": wrapping.environ_text(state.job),
        **state.kind.state(),
    }
    write_file(new / HIDDEN / STATE, json.dumps(data, indent=1).encode(), permissions)  # type: ignore[arg-type]


def _record(state: State, way: Entering, module: str) -> Record:
    import tykky

    job = state.job
    return Record(
        name=state.name,
        version="1",
        suffix="",
        module=module,
        hash=state.key,
        prefix=str(job.prefix),
        kind=state.kind.mode,
        description=f"{state.kind.title} made by {job.program}",
        installed=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        spec=f"{state.name}@1",
        commands=state.names,
        packages=tuple((p.name, p.version) for p in state.contents),
        base={"name": state.base.name, "id": state.base.id, "digest": state.base.digest},
        recipe={"file": "recipe.py", "digest": ""},
        image=asdict(state.image) if state.image else {},
        by={"user": user_name(), "host": host_name(), "tykky": tykky.__version__},
        launch=asdict(way),
        steps=state.steps,
    )


def _try(state: State, new: Path, say: Callable[[str], None]) -> None:
    """Run a command of the new state, as a user would. Raises ``StepError``."""
    import subprocess

    if state.job.is_bound:
        return  # its contents know no other place
    say("a command of the new state")
    done = subprocess.run(
        [new / "bin/_debug_exec", "/bin/true"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0 and "No such file" not in done.stderr:
        raise StepError(
            "the commands of the new state do not work",
            remedy="'tykky doctor' tells whether this machine can run stacks",
            code=Exit.TEST,
            details=tuple(done.stderr.splitlines()[-6:]),
        )


def _flush(new: Path) -> None:
    for folder, _, names in os.walk(new):
        for name in names:
            if not Path(folder, name).is_symlink():
                sync(Path(folder, name))
        sync(Path(folder))


# -- the renames -----------------------------------------------------------------------------


def _replace(state: State, record: Record, store: Store, new: Path) -> None:
    """Take every file of the new state to its place; ``launch.conf`` first or last.

    The commands of an older Tykky do not read it. Ours do: their new names come before it.
    """
    prefix, hidden = state.job.prefix, state.job.prefix / HIDDEN
    conf = hidden / "launch.conf"
    make_folder(prefix / "bin", store.permissions)
    ours = conf.exists()
    if not ours:
        (new / HIDDEN / conf.name).replace(conf)
    _move_all(new / "bin", prefix / "bin", prefix)
    if ours:
        (new / HIDDEN / conf.name).replace(conf)
    for path in sorted((new / HIDDEN).iterdir()):
        if path.name == (state.image.file if state.image else "") or path.name == state.links:
            path.unlink()
    _move_all(new / HIDDEN, hidden, prefix)
    shutil.rmtree(new / HIDDEN, ignore_errors=True)
    if state.job.old is None:  # another installation's, which this one replaces
        discard(prefix / "share/previous_input")
    for path in sorted(new.iterdir()):
        if path.name != "bin":
            _move(path, prefix / path.name, prefix)
    container = prefix / str(state.job.values["container_image"])
    if not isinstance(state.base, ImageBase) and os.path.lexists(container):
        # Of an older Tykky, which always had one. What runs may still open it.
        aside = hidden / _REPLACED
        aside.mkdir(exist_ok=True)
        container.replace(aside / container.name)
    for path in (prefix / "bin").iterdir():
        if path.name not in state.names:
            discard(path)
    with contextlib.suppress(OSError):
        discard(new)
    store.enter(record)


def _move_all(source: Path, target: Path, prefix: Path) -> None:
    for path in sorted(source.iterdir()):
        _move(path, target / path.name, prefix)


def _move(source: Path, target: Path, prefix: Path) -> None:
    """Rename something over what has its name. A folder gets what the new one has in it."""
    real = source.is_dir() and not source.is_symlink()
    if real and target.is_dir() and not target.is_symlink():
        _move_all(source, target, prefix)
        return
    if (target.is_dir() and not target.is_symlink()) or (real and os.path.lexists(target)):
        aside = prefix / HIDDEN / _REPLACED
        aside.mkdir(exist_ok=True)
        target.rename(aside / f"{target.name}-{time.time_ns()}")
    elif not source.is_symlink() or not target.exists() or target.is_symlink():
        pass
    else:  # an image or container of an older Tykky, which may be mounted somewhere
        aside = prefix / HIDDEN / _REPLACED
        aside.mkdir(exist_ok=True)
        with contextlib.suppress(OSError):
            os.link(target, aside / target.name)
    source.replace(target)
