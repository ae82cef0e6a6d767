"""Making a classic install, or a new state of one that is there.

``resolve -> base -> build -> finish -> squash -> test -> commit``, as for recipes. Until the last
step nothing of an installation that is there is changed; see :mod:`tykky.compat.publishing`.

Public names: ``make``, ``claim``.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tykky import bases, console
from tykky.bases import ImageBase
from tykky.build.clock import Clock
from tykky.compat import publishing, script, wrapping
from tykky.compat.box import Contents, OpenBox
from tykky.compat.job import Job, Kind
from tykky.compat.rooms import room_of
from tykky.errors import Exit, TykkyError
from tykky.files import count, discard, make_folder
from tykky.host import user_name
from tykky.lock import Lock, digest_of
from tykky.store import HIDDEN, Record, Store
from tykky.tools.scratch import own_folder
from tykky.tools.squash import Image, settle, squash

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.contents import Installed
    from tykky.runtime.base import EnvChange

#: The images that distributions are called by, where their own name is not the image's.
_IMAGES = {
    "sles": "docker://registry.suse.com/bci/bci-base:{version}",
    "rhel": "docker://redhat/ubi{major}:{version}",
    "rocky": "docker://rockylinux/rockylinux:{version}",
}


def claim(prefix: Path, config: Config) -> contextlib.AbstractContextManager[None]:
    """Hold the lock of an installation; waits for whoever has it."""
    return Store.of(config).claim(_key(prefix), str(prefix), console.note)


def _key(prefix: Path) -> str:
    return digest_of(["classic", str(prefix)])


def make(job: Job, kind: Kind) -> Record:
    """Make what a job asks for. Raises ``TykkyError``; then everything is as it was.

    Who updates an installation holds its lock since before it was looked at.
    """
    kind.check()
    if job.is_bound and wrapping.environ_text(job):
        raise TykkyError(
            "commands that lie at their own path in the image cannot run something before they do",
            remedy="leave 'installation_path: prefix' out; or give variables with fixed values: "
            "'extra_envs: [{type: set, name: NAME, value: VALUE}]'",
            code=Exit.CONFIG,
        )
    publishing.check_prefix(job)
    held = claim(job.prefix, job.config) if job.old is None else contextlib.nullcontext()
    with held:
        making = _Making(job, kind, Store.of(job.config), _key(job.prefix))
        with making.cleaning_up():
            making.run()
            return making.record


class _Making:
    """One call at work."""

    def __init__(self, job: Job, kind: Kind, store: Store, key: str) -> None:
        self.job = job
        self.kind = kind
        self.store = store
        self.key = key
        self.level = int(job.values.get("log_level", 2))
        self.clock = Clock(quiet=self.level < 2)
        parent = Path(job.values["build_tmpdir_base"]) / f"tykky-classic-{user_name()}"
        if not parent.is_absolute():
            parent = job.workdir / parent
        self.scratch = Contents(parent / key[:16], kind.below)
        self.log_path = parent / "logs" / f"{job.prefix.name or 'root'}-{key[:8]}.log"
        self.log: BinaryIO
        self.box: OpenBox
        self.image: Image | None = None
        self.contents: Sequence[Installed] = ()
        self.activation: Sequence[EnvChange] = ()
        self.wrapped: wrapping.Wrapped
        self.image_environment: dict[str, str] = {}
        self.record: Record
        self._made: list[Path] = []

    @contextlib.contextmanager
    def cleaning_up(self) -> Iterator[None]:
        """Whatever happens within: no scratch is left, and the old state or the new one."""
        try:
            self._make_folders()
            with self.scratch.held():
                try:
                    yield
                except BaseException as error:
                    self._keep(error)
                    raise
        except BaseException as error:
            self._undo()
            if isinstance(error, TykkyError) and self.log_path.exists():
                error.details = (*error.details, f"the whole log: {self.log_path}")
            raise
        else:
            self.log_path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.log_path.parent.rmdir()

    def _make_folders(self) -> None:
        # Also a base that is not there yet: it is the user's own wish.
        own_folder(self.scratch.path.parent)
        self.log_path.parent.mkdir(exist_ok=True)
        self.log = self.log_path.open("wb")

    def _keep(self, error: BaseException) -> None:
        """Keep what was built for a look, if that is asked for."""
        self.log.write(f"# {type(error).__name__}: {error}\n".encode(errors="replace"))
        if os.environ.get("CW_DEBUG_KEEP_FILES") and self.scratch.path.is_dir():
            kept = self.scratch.path.with_name(f"kept-{time.strftime('%Y%m%d-%H%M%S')}")
            self.scratch.path.rename(kept)
            console.note(f"the files of the build are kept in {kept}")

    def _undo(self) -> None:
        for path in reversed(self._made):
            with contextlib.suppress(OSError):
                if path.is_dir() and not path.is_symlink() and path.parent.name != HIDDEN:
                    path.rmdir()  # only if it is empty
                else:
                    discard(path)
        if self.job.old is None:
            console.note("nothing was installed")
        else:
            console.note(f"the installation in {self.job.prefix} is as it was")

    def run(self) -> None:
        """All steps."""
        discard(self.scratch.top)  # scripts look whether there is an environment
        for folder in (self.scratch.home, self.scratch.tmp, self.scratch.top):
            folder.mkdir(parents=True, exist_ok=True)
        self._resolve()
        self._base()
        self._build()
        self._finish()
        self._squash()
        self._commit()

    # -- the steps --------------------------------------------------------------------

    @property
    def _name(self) -> str:
        """The name of the throw-away recipe: that of the prefix, as far as a recipe may have it."""
        name = re.sub(r"[^a-z0-9]+", "-", self.job.prefix.name.lower()).strip("-")
        return name if name[:1].isalpha() else f"env-{name}".strip("-")

    @property
    def _recipe(self) -> Path:
        return self.scratch.path / "recipes" / self._name

    def _resolve(self) -> None:
        with self.clock.step("resolve") as line:
            self._recipe.mkdir(parents=True)
            (self._recipe / "recipe.py").write_text(self.kind.recipe(), encoding="utf-8")
            for name, path in self.job.inputs.items():
                line.update(name)
                path.open("rb").close()  # who may not read it, should know now
            self.kind.resolve(self._recipe, line.update)
            line.update(f"{self.kind.title} for {self.job.prefix}")

    def _base(self) -> None:
        with self.clock.step("base") as line:
            job = self.job
            if job.values["isolate"] or not self.kind.has_image:
                self.kind.base = self._container(line)
            base = self.kind.base
            line.update(f"{base.name} ({base.id})")
            config = job.config
            self.box = OpenBox(
                self.kind.root,
                self._recipe,
                base,
                Lock(self._name, "1", "", bases.arch(), {}, ()),
                config,
                scratch=self.scratch,
                log=self.log,
            )
            self.box.room = room_of(
                self.scratch.path,
                self.scratch.top,
                job.inside,
                base,
                config,
                cwd=job.workdir,
                seen=[*self.kind.seen(), config.cache_dir],
            )
            self.box.say = line.update
            if isinstance(base, ImageBase):
                from tykky.kinds.container import image_variables

                self.image_environment = {**base.environment, **image_variables(self.box)}
                line.update(f"{base.name} ({base.id})")

    def _container(self, line: console.Step) -> bases.Base:
        job = self.job
        source = str(job.values["container_src"])
        kept = job.prefix / str(job.values["container_image"])
        if job.old is not None and kept.exists():
            source = str(kept)
        elif source == "auto":
            source = _image_of_host()
        elif (path := job.workdir / Path(source).expanduser()).exists():
            # Any path of something that is there; '..' is only known to the file system.
            source = str(path.resolve() if ".." in path.parts else path)
        found = bases.find(source, job.config, folder=job.workdir)
        base = bases.provide(found, job.config, line.update)
        if not isinstance(base, ImageBase):
            raise TykkyError(
                f"'{source}' is no container",
                remedy="give a SIF, a squashfs image, a root directory or docker://...",
                code=Exit.BASE,
            )
        return base

    def _build(self) -> None:
        with self.clock.step("build") as line:
            self.box.say = line.update
            old = self.job.old
            if old is not None and old.image is not None:
                self._unpack(old.image)
            if not self.kind.has_image:
                line.update("nothing: all is in the container")
                return
            line.update("the installation script")
            watched = self.level == 2 and console.is_terminal(sys.stderr)
            show = line.show if watched or self.level > 2 else None
            script.run(self.job, self.kind, self.box, show)
            line.update(self.kind.title)

    def _unpack(self, image: Path) -> None:
        """Put the contents of the old image where the new ones are made."""
        from tykky.bases.image import open_image, unpack

        self.box.say(f"the contents of {image.name}")
        unpack(open_image(image), self.scratch.top)
        link = self.scratch.top / "miniforge"
        if (self.scratch.top / "miniconda").is_dir() and not os.path.lexists(link):
            link.symlink_to("miniconda")

    def _finish(self) -> None:
        with self.clock.step("finish") as line:
            self.box.say = line.update
            kind, job = self.kind, self.job
            if kind.has_image:
                kind.seal(self.box)
                self.contents = tuple(kind.contents(self.box))
                if self.contents:
                    from tykky import contents

                    contents.put(self.contents, self.box)
                self.activation = tuple(kind.activation(self.box))
                publishing.keep_inputs(job, self.scratch.top / "previous_input")
            self.wrapped = wrapping.choose(job, kind, self.scratch.top, kind.base)
            line.update(console.plural(len(self.wrapped.programs), "command"))

    def _squash(self) -> None:
        with self.clock.step("squash") as line:
            hidden = self.job.prefix / HIDDEN
            self._make(self.job.prefix)
            self._make(hidden)
            publishing.sweep(self.job)
            if not self.kind.has_image:
                line.update("nothing: all is in the container")
                return
            top = self.scratch.top
            if self.job.is_bound:
                wrapping.lay_inside(top / "bin", self.job, self.wrapped)
            if not os.environ.get("CW_NO_FIX_PERM"):
                settle(top)
            files = count(top)
            line.update(f"{files} files into one image")
            self._made.append(hidden / "image.new")
            self.image = squash(top, hidden, self._config(), self._run_outside, self._options())
            if self.job.old is None or self.job.old.image != hidden / self.image.file:
                self._made.append(hidden / self.image.file)
            self.store.permissions.apply(hidden / self.image.file)
            line.update(f"{files} files into one image of {console.size(self.image.bytes)}")

    def _make(self, folder: Path) -> None:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        make_folder(folder, self.store.permissions)
        self._made += reversed(missing)

    def _run_outside(self, line: list[str]) -> str:
        from tykky.tools import process

        status, said = process.run(line, dict(os.environ), Path("/"), self.log)
        if status != 0:
            raise process.failure(" ".join(line), status, said)
        return said

    def _config(self) -> Config:
        config, values = self.job.config, self.job.values
        wanted = min(int(values.get("num_cpus", 0)), int(values.get("max_num_cpus", 1 << 16)))
        return replace(config, jobs=config.jobs or wanted or len(os.sched_getaffinity(0)))

    def _options(self) -> list[str]:
        words = str(self.job.values.get("sqfs_options") or "").split()
        return [word for word in words if word != "-noappend"]

    def _commit(self) -> None:
        with self.clock.step("commit") as line:
            pyvenv = self.scratch.root / "pyvenv.cfg"
            state = publishing.State(
                job=self.job,
                kind=self.kind,
                key=self.key,
                name=self._name,
                recipe=self._recipe / "recipe.py",
                image=self.image,
                wrapped=self.wrapped,
                contents=tuple(self.contents),
                activation=tuple(self.activation),
                image_environment=self.image_environment,
                library=self.kind.python(self.box),
                pyvenv=pyvenv.read_bytes() if pyvenv.is_file() else b"",
                base=self.kind.base,
                steps=tuple(self.clock.steps),
                log=self.log_path,
            )
            self.log.flush()
            self.record = publishing.publish(state, self.store, self._made, line.update)
            line.update(f"{self.record.files} files and folders")


def _image_of_host() -> str:
    import platform

    try:
        values = platform.freedesktop_os_release()
    except OSError:
        values = {}
    name, version = values.get("ID", ""), values.get("VERSION_ID", "")
    if not name or not version:
        raise TykkyError(
            "nothing says which distribution this machine has, so no container can be chosen",
            remedy="name one: 'container_src: docker://...'",
            code=Exit.BASE,
        )
    form = _IMAGES.get(name, f"docker://{name}:{{version}}")
    return form.format(version=version, major=version.partition(".")[0])
