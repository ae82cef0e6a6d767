"""How a classic install lies: the contents at a path of their own, and files beside ``bin``.

::

    bin/            the commands
    _bin            what lies over them inside: links to their programs
    common.sh       what kind of installation it is, for people and older tools
    container.sif   the container, if there is one
    img.sqfs        the image
    pyvenv.cfg, lib, lib64          of a Python environment: a copy, and links into the image
    share/conf.yaml, share/VERSION.yml, share/previous_input/N/
    .tykky/         as in every place: generations, images

All but ``bin`` are links into the current generation, which has these files in its folder
``layout`` and the links to programs in ``bin``. So they change together with it, by one rename.
"""

from __future__ import annotations

import itertools
import os
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from tykky import __version__
from tykky.bases import Base, ImageBase, arch
from tykky.bases.layers import unpack_all
from tykky.build.box import OpenBox, RealBox
from tykky.build.entering import OWN, Entering, of_base, triples
from tykky.build.layout import Images, Layout, Offer
from tykky.build.plan import Plan
from tykky.build.work import Work
from tykky.compat import wrapping
from tykky.compat.classic import Classic, copied
from tykky.compat.settings import Values
from tykky.contents import COMMAND
from tykky.errors import Exit, TykkyError, from_os_error, masked
from tykky.files import Permissions, bring, copy_tree, make_folder, read_within, write_file
from tykky.kinds.container import image_variables
from tykky.publish import LINKS
from tykky.store import Record
from tykky.store.place import HIDDEN, Draft, Place
from tykky.tools.scratch import Scratch, contained

#: What only one call was told, and says nothing of the installation.
_OF_THE_CALL = ("log_level", "build_tmpdir_base", "workdir", "num_cpus", "max_num_cpus")
#: From the folder of a generation, or one in it, to the images of the place.
_IMAGES = Path("../../../images")


class ClassicLayout(Layout):
    """The layout of one call."""

    # Who updates a prefix of their own need not know that there is a clean-up.
    keeps_all = False
    has_repository = False

    def __init__(self, recipe: Classic) -> None:
        self.recipe = recipe
        self.has_image = recipe.has_image
        self.settles = not os.environ.get("CW_NO_FIX_PERM")
        self.verb = recipe.program
        self.changes = recipe.old is not None and bool(Place(recipe.prefix).current)
        self._box: OpenBox | None = None
        self.library = ""  # what is seen of a Python environment at the prefix
        self.pyvenv = b""
        self.programs: Mapping[str, str] = {}

    # -- making ------------------------------------------------------------------------

    def scratch(self, path: Path) -> Scratch:
        """The scratch directory, with the environment where the contents have it."""
        return Scratch(path, self.recipe.below)

    def target(self, plan: Plan) -> Path:
        """The environment, at its path inside."""
        return self.recipe.root

    def box(self, work: Work) -> RealBox:
        """The one open box of the build, in which the path inside exists."""
        if self._box is None:
            recipe = self.recipe
            self._box = work.open(OpenBox, inside_at=recipe.inside, cwd=recipe.workdir)
            self._box.shown = [*recipe.seen(), work.config.cache_dir]
            self._box.hidden = work.config.classic_hides
        self._box.say = work.say
        if work.line is not None:
            self._box.show = work.line.show
        return self._box

    def start(self, work: Work) -> None:
        """Begin an update with the contents that there are."""
        scratch = work.scratch
        for folder in (scratch.home, scratch.tmp, scratch.top):
            folder.mkdir(parents=True, exist_ok=True)
        if self.recipe.old is None:
            return
        images = images_of(self.recipe.prefix, self.recipe.old)
        if scratch.upper is None:
            work.say(f"the contents of {images[0].name}")
            unpack_all(images, scratch.top)
        link = scratch.top / "miniforge"
        if (scratch.top / "miniconda").is_dir() and not os.path.lexists(link):
            link.symlink_to("miniconda")

    def failed(self, work: Work) -> None:
        """Keep what was built for a look, if that is asked for."""
        path = work.scratch.path
        if os.environ.get("CW_DEBUG_KEEP_FILES") and path.is_dir():
            kept = path.with_name(f"kept-{time.strftime('%Y%m%d-%H%M%S')}")
            path.rename(kept)
            work.desk.remark(f"the files of the build are kept in {kept}")

    def offer(self, work: Work) -> Offer:
        """The programs that are wrapped, and the ways in that every install has."""
        return wrapping.choose(self.recipe, work.scratch.top, work.plan.base)

    def with_listing(self, offer: Offer) -> Offer:
        """The offer with the command that tells the packages, also after an update."""
        programs = {**offer.programs, COMMAND: f"{self.recipe.root}/bin/{COMMAND}"}
        names = tuple(sorted({*offer.names, COMMAND}))
        return replace(offer, names=names, programs=dict(sorted(programs.items())))

    def squash_options(self, work: Work) -> Sequence[str]:
        """What the site wants of mksquashfs."""
        words = str(self.recipe.values.get("sqfs_options") or "").split()
        return [word for word in words if word != "-noappend"]

    def finish(self, work: Work, offer: Offer) -> None:
        """Put into the image what is for its inside."""
        top = work.scratch.top
        assert self._box is not None
        self.library = self.recipe.library(self._box)
        pyvenv = work.scratch.root / "pyvenv.cfg"
        self.pyvenv = read_within(top, pyvenv) if pyvenv.is_file() else b""
        self.programs = offer.programs
        if not self.has_image:
            return
        _keep(self.recipe, contained(top, Path("previous_input")), Permissions())
        if self.recipe.is_bound or self.recipe.values.get("mask_wrap_install"):
            wrapping.lay_inside(top, offer.programs, self.recipe, work.plan.base)

    def state(self) -> dict[str, Any]:
        """What is seen of the contents at the prefix."""
        return {key: getattr(self, key) for key in ("library", "pyvenv", "programs")}

    # -- entering ----------------------------------------------------------------------

    def enter(self, work: Work, box: RealBox, offer: Offer) -> Entering:
        """How it is entered."""
        recipe, values, base = self.recipe, self.recipe.values, work.plan.base
        variables = {"install_root": str(recipe.inside)}
        if recipe.is_environment:
            variables["env_root"] = f"{recipe.root}/"
        variables["_CW_IN_CONTAINER"] = "Yes"
        variables["_CW_IS_ISOLATED"] = "yes" if values["isolate"] else "no"
        environment = [("set", name, value) for name, value in variables.items()]
        environment += wrapping.fixed_environment(recipe)
        environment += triples(recipe.shields(recipe.config))
        if libraries := [*offer.libraries, *values.get("wrapper_ld_library_paths", ())]:
            environment.append(("prepend", "LD_LIBRARY_PATH", ":".join(libraries)))
        entering = Entering(
            runtime=str(recipe.config.runtime),
            isolation="mounts" if values["isolate"] else "open",
            environment=tuple(environment),
            activation=tuple(
                self._of_prefix(change.action.value, change.name, change.value)
                for change in recipe.activation(box)
            ),
            defaults=triples(recipe.defaults(box)),
            mount_at="" if recipe.is_bound or not self.has_image else str(recipe.inside),
            relocatable=not recipe.is_bound,
            mounts=tuple(values["mount_points"]) if values["isolate"] else (),
        )
        if not recipe.is_bound:
            seen = (("$PREFIX", "$PREFIX"),) if isinstance(base, ImageBase) else ()
            entering = replace(entering, binds=(*seen, (f"{OWN}/bin", "$PREFIX/bin")))
        if isinstance(base, ImageBase):
            place = "$PREFIX" if entering.relocatable else str(recipe.prefix)
            more = image_variables(box)
            found = of_base(base, place, more)
            if values["isolate"]:
                first = [value for _, name, value in entering.activation if name == "PATH"]
                given = more.get("PATH") or base.path
                path = dict.fromkeys(":".join([*first, f"{place}/bin", given]).split(":"))
                others = (change for change in found["of_image"] if change[1] != "PATH")
                found["of_image"] = (("set", "PATH", ":".join(filter(None, path))), *others)
            root = self._shared(base) or f"{place}/{HIDDEN}/images/{_name(base)}"
            entering = replace(entering, **{**found, "root": str(root)})
        return entering

    def _of_prefix(self, action: str, name: str, value: str) -> tuple[str, str, str]:
        """What activation puts on PATH are the commands: their path is the same on both sides."""
        if not self.recipe.is_bound and value == f"{self.recipe.root}/bin":
            return action, name, "$PREFIX/bin"
        if name == "CONDA_DEFAULT_ENV" and value == str(self.recipe.root):
            # As after "conda activate env1".
            return action, name, str(self.recipe.values["env_name"])
        return action, name, value

    def _shared(self, base: ImageBase) -> Path | None:
        """The container where it is; ``None`` if there is to be one of its own among the images."""
        container = base.file.path if base.file else base.directory
        shared = base.file is None or self.recipe.values.get("share_container")
        return container.absolute() if container and shared else None

    # -- the files of a generation ------------------------------------------------------

    def fill(self, work: Work, draft: Draft, offer: Offer, images: Images) -> None:
        """Write the links to programs, and the files that people and older tools look for."""
        permissions, base = work.desk.store.permissions, work.plan.base
        folder = draft.path / LINKS
        make_folder(folder, permissions)
        try:
            if not self.recipe.is_bound:
                there = draft.path / "bin"
                wrapping.lay_links(there, offer.programs, self.recipe, base, permissions)
                (folder / "_bin").symlink_to("../bin")
            if images:
                name = str(self.recipe.values["sqfs_image"])
                (folder / name).symlink_to(_IMAGES / images[0]["file"])
            if isinstance(base, ImageBase):
                self._container(base, draft, folder, permissions)
            self._environment(folder, permissions)
        except OSError as error:
            raise from_os_error(error, f"lay out {self.recipe.prefix}") from error
        self._share(folder / "share", permissions)
        text = _common(self.recipe, images, base)
        write_file(folder / "common.sh", text.encode(), permissions)
        if environ := wrapping.environ_text(self.recipe):
            data = environ.encode("utf-8", errors="surrogateescape")
            write_file(draft.path / wrapping.ENVIRON, data, permissions)

    def _container(
        self, base: ImageBase, draft: Draft, folder: Path, permissions: Permissions
    ) -> None:
        """The container among the images: a copy, or a second name of the one in the cache."""
        name = folder / str(self.recipe.values["container_image"])
        if (shared := self._shared(base)) is not None:
            name.symlink_to(shared)
            return
        assert base.file is not None
        name.symlink_to(_IMAGES / _name(base))
        # One of an earlier generation, or in the cache, gets another name only.
        known = (self.recipe.prefix, self.recipe.config.bases_dir)
        link = any(folder in base.file.path.parents for folder in known)
        bring(base.file.path, draft.place.images / _name(base), permissions, link=link)

    def _environment(self, folder: Path, permissions: Permissions) -> None:
        """What makes the prefix look like the environment in it: links that are whole inside."""
        library = self.library
        if not library or self.recipe.is_bound:
            return
        if self.pyvenv:
            # A file, for programs outside that look for Python environments.
            write_file(folder / "pyvenv.cfg", self.pyvenv, permissions)
            (folder / "lib64").symlink_to("lib")
        target = library if library.startswith("/") else f"{self.recipe.root}/{library}"
        make_folder(folder / "lib", permissions)
        (folder / "lib" / Path(library).name).symlink_to(target)

    def _share(self, share: Path, permissions: Permissions) -> None:
        make_folder(share, permissions)
        write_file(share / "conf.yaml", _conf(self.recipe).encode(), permissions)
        built = time.strftime("%a %b %e %H:%M:%S UTC %Y", time.gmtime())
        version = f"tag: {__version__}\ncommit: tykky-{__version__}\n"
        write_file(share / "VERSION.yml", f"{version}build-time: {built}\n".encode(), permissions)
        before = share_of(self.recipe.prefix) / "previous_input"
        if self.recipe.old is not None and before.is_dir():
            copy_tree(before, share / "previous_input")
        _keep(self.recipe, share / "previous_input", permissions)

    # -- trying and recording ------------------------------------------------------------

    def prove(self, work: Work, box: RealBox) -> None:
        """Run a command of the new generation, as a user would. Raises ``TykkyError``."""
        work.say("a command of the new generation")
        shell = wrapping.shell_of(work.plan.base)
        try:
            box.run(["_debug_exec", *shell.split(), *(("-c", ":") if shell else ())])
            if self.recipe.is_environment and "python" in self.programs:
                box.run(["python", "-I", "-c", "pass"])
        except TykkyError as error:
            if not shell and any("No such file" in line for line in error.details):
                # It was entered, and has nothing that may be run for a trial.
                self._check_machine(work.plan.base)
                return
            error.cause = "the commands of the new state do not work"
            error.remedy = "'tykky doctor' tells whether this machine can run stacks"
            error.code = Exit.TEST
            raise

    def _check_machine(self, base: Base) -> None:
        """Raise ``TykkyError`` if the programs of an image are for another kind of machine."""
        machines: dict[str, str] = {}
        for program in self.programs.values():
            machines[program] = base.machine(program) if isinstance(base, ImageBase) else arch()
            if machines[program] in (arch(), "i386" if arch() == "x86_64" else ""):
                return
        for program, made_for in machines.items():
            raise TykkyError(
                f"{program} in the container is {made_for}, and this machine is {arch()}",
                remedy="take an image for this kind of machine",
                code=Exit.BASE,
            )

    def amend(self, record: Record) -> Record:
        """A record of what has no module."""
        return replace(record, has_module=False, spec=f"{record.name}@1")


def images_of(prefix: Path, values: Values) -> list[Path]:
    """The images of an installation, of ours or of an earlier Tykky. Raises ``StoreError``."""
    place = Place(prefix)
    if not place.current:
        return [prefix / str(values["sqfs_image"])]
    return [place.images / str(image["file"]) for image in place.record().images]


def share_of(prefix: Path) -> Path:
    """What an installation says of itself.

    Of ours, it is beside ``bin`` by a link, which may not be there if somebody was killed.
    """
    place = Place(prefix)
    return (place.generation() / LINKS if place.current else prefix) / "share"


def _name(base: ImageBase) -> str:
    """What a container is called among the images of a place."""
    return f"{base.digest[:16]}.sif"


def _keep(recipe: Classic, folder: Path, permissions: Permissions) -> None:
    """Keep the user's files in the next numbered folder."""
    number = next(n for n in itertools.count() if not (folder / str(n)).exists())
    make_folder(folder / str(number), permissions)
    for name, path in recipe.inputs.items():
        write_file(folder / str(number) / name, copied(path), permissions, durable=False)


def _conf(recipe: Classic) -> str:
    values: dict[str, Any] = {k: v for k, v in recipe.values.items() if k not in _OF_THE_CALL}
    values["mode"] = recipe.kind
    for key in ("pre_install", "post_install"):
        if key in values:
            values[key] = [masked(i) if isinstance(i, str) else i for i in values[key]]
    values["installation_prefix"] = str(recipe.prefix)
    head = "# What this installation was made from. An update reads it; do not edit.\n"
    return head + yaml.safe_dump(values, allow_unicode=True)


def _common(recipe: Classic, images: Images, base: object) -> str:
    facts = {}
    if images:
        facts["SQFS_IMAGE"] = recipe.values["sqfs_image"]
    if isinstance(base, ImageBase):
        facts["CONTAINER_IMAGE"] = recipe.values["container_image"]
    facts["INSTALLATION_PATH"] = recipe.inside
    head = "#!/bin/bash\n# What this installation is. Its commands do not read this.\n"
    return head + "".join(f"{name}={shlex.quote(str(it))}\n" for name, it in facts.items())
