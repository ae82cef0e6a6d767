"""The recipe that one call of a classic command is turned into, in memory."""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from tykky import bases, console
from tykky.bases import Base, ImageBase
from tykky.build.box import Box, OpenBox
from tykky.compat.settings import SCRIPTS, TEXT, Values
from tykky.config import Config
from tykky.errors import Exit, RecipeError, TykkyError, masked
from tykky.fetch import Say
from tykky.host import expanded, real
from tykky.kinds.python import check_prefix
from tykky.kinds.stack import Stack
from tykky.lock import Lock
from tykky.recipe import Version
from tykky.store.record import name_of
from tykky.text import read_text
from tykky.tools import indexes


class Classic(Stack):
    """A stack of the wishes of one call: what the four commands have in common.

    ``values`` are those that count, ``prefix`` is where it is installed, ``old`` the values of the
    installation that is updated, if one is. ``kind`` is what their configuration calls the mode.

    The contents are made by the user's scripts, with what a kind does between them.
    """

    kind: ClassVar[str] = "classic"
    title: ClassVar[str]
    #: Whether ``create`` does anything.
    creates: ClassVar[bool] = False
    #: Whether there is an image besides a container.
    has_image: ClassVar[bool] = True
    #: Whether it is an environment: with programs in its ``bin``, and packages of an index.
    is_environment: ClassVar[bool] = False
    #: The option that names its programs, if they do not name themselves.
    example: ClassVar[str] = "-w bin"
    network = True
    homepage = "https://github.com/CSCfi/hpc-container-wrapper"
    license = "that of what it consists of"

    def __init__(
        self, program: str, values: Values, prefix: Path, config: Config, old: Values | None = None
    ) -> None:
        self.program = program
        self.values = values
        self.prefix = prefix
        self.config = config
        self.old = old
        self.version = Version("1")
        self.choices = MappingProxyType({})
        #: The caller's directory, where scripts run.
        self.workdir = Path(values.get("workdir") or Path.cwd())
        path = values.get("installation_path", "prefix")
        #: Where the contents appear.
        self.inside = prefix if path == "prefix" else Path(path)
        #: Whether the contents lie where the install does.
        self.is_bound = self.inside == prefix
        #: The environment, at its path inside.
        self.root = self.inside / self.below
        #: How much is told: 0 errors only, 1 warnings, 2 what is done, more everything.
        self.level = int(values.get("log_level", 2))
        self.name = name_of(prefix)  # type: ignore[misc]
        self.file = self.directory = self.workdir  # type: ignore[misc]
        self.description = f"{self.title} made by {program}"  # type: ignore[misc]

    @classmethod
    def meant(cls, values: Values, verb: str) -> Values:
        """What the values of options mean together."""
        return values

    # -- what it was asked for ---------------------------------------------------------

    @property
    def below(self) -> str:
        """Where in the contents the environment is; empty: they are the environment."""
        return ""

    def given(self, name: str) -> Path:
        """A file of the user's, from the caller's directory on. Raises ``TykkyError``."""
        path = self.workdir / expanded(name)
        if not path.is_file():
            remedy = f"check its name; it counts from {self.workdir}"
            raise TykkyError(f"there is no file {name}", remedy=remedy, code=Exit.NOT_FOUND)
        return path

    def named(self, key: str) -> Path | None:
        """The file that a key names, if it does. Raises ``TykkyError``."""
        name = self.values.get(key)
        return self.given(name) if name else None

    def text(self, key: str) -> str:
        """The commands of ``pre_install`` or ``post_install``, those in files included."""
        items = self.values.get(key, ())
        texts = (read(self.given(i["file"])) if isinstance(i, dict) else i for i in items)
        return "".join(text if text.endswith("\n") else f"{text}\n" for text in texts)

    @property
    def inputs(self) -> dict[str, Path]:
        """The user's files that are kept with the install, by the names they get there."""
        names = [self.values.get("env_file"), self.values.get("requirements_file")]
        names += self.values.get("installation_file_paths", [])
        for key in SCRIPTS:
            items = self.values.get(key, ())
            names += [item["file"] for item in items if isinstance(item, dict) and "file" in item]
        paths = (self.given(name) for name in dict.fromkeys(names) if name)
        return {path.name: path for path in paths}

    def examine(self) -> None:
        """Find out early what would fail late. Raises ``TykkyError``."""
        for key in ("env_file", "requirements_file"):
            if file := self.named(key):
                read_text(file, kind=RecipeError, code=Exit.NOT_FOUND, any_bytes=key == "env_file")
        if self.is_environment:
            check_prefix(self.root, "bin/python3.12")
        elif not self.values.get("wrapper_paths"):
            cause = "nothing says which programs to wrap"
            remedy = f"name them, or directories of them: {self.example}"
            raise TykkyError(cause, remedy=remedy, code=Exit.USAGE)

    # -- resolve, base -----------------------------------------------------------------

    def settle(self, say: Say) -> Lock:
        """Find out what goes into the install, as far as that is known beforehand."""
        return Lock(self.name, "1", "", bases.arch(), {}, ())

    def find_base(self, config: Config, arch: str, lock: Lock) -> Base:
        """The base: the host, or the container of the installation. Raises ``TykkyError``."""
        if self.has_image and not self.values["isolate"]:
            return bases.host()
        source = str(self.values["container_src"])
        kept = self.prefix / str(self.values["container_image"])
        if self.old is not None and kept.exists():
            source = str(real(kept))
        elif source == "auto":
            source = bases.image_of_host()
        elif (path := self.workdir / expanded(source)).exists():
            # Any path of something that is there; '..' is only known to the file system.
            source = str(real(path) if ".." in path.parts else path)
        elif ":" not in source and source not in ("host", *dict(config.bases)):
            cause = f"there is no container {path}"
            remedy = "check its name; those of registries begin with docker:// or oras://"
            raise TykkyError(cause, remedy=remedy, code=Exit.NOT_FOUND)
        return bases.find(source, config, folder=self.workdir)

    def check(self, prefix: Path, base: Base) -> None:
        """Refuse what is no container where one is needed."""
        if (self.values["isolate"] or not self.has_image) and not isinstance(base, ImageBase):
            remedy = "give a SIF, a squashfs image, a root directory or docker://..."
            raise TykkyError(f"'{base.name}' is no container", remedy=remedy, code=Exit.BASE)

    # -- build, finish -----------------------------------------------------------------

    def seen(self) -> list[Path]:
        """What of the host an isolated build has to see."""
        mounts = map(Path, self.values.get("mount_points", ()))
        found = [*mounts, self.workdir, *(path.parent for path in self.inputs.values())]
        return [*found, *(indexes.places(self.config) if self.is_environment else ())]

    def assemble(self, box: Box) -> None:
        """Run the user's scripts, with what the kind does in between."""
        from tykky.compat import script

        if not self.has_image:
            box.say("nothing: all is in the container")
            return
        real: Any = box
        box.say("the installation script")
        script.run(self, real, shown=self.level >= 2)
        box.say(self.title)

    def create(self, box: OpenBox) -> None:
        """Between the scripts: make what they add to. What can be a script is in ``steps``."""

    def steps(self, box: OpenBox) -> str:
        """The same, as commands of the script; ``install_root`` and ``env_root`` are set."""
        return ""

    def library(self, box: OpenBox) -> str:
        """The directory of the standard library to be seen at the prefix: ``lib/python3.11``."""
        top = box.real(".")
        if not (self.is_environment or (self.has_image and (top / "pyvenv.cfg").is_file())):
            return ""  # a wrapped virtual environment is one as well
        found = [p for p in sorted(top.glob("lib/python3.*")) if not p.is_symlink()]
        return f"lib/{found[0].name}" if found else ""


def read(path: Path) -> str:
    """The text of a user's file. Raises ``TykkyError``."""
    return read_text(path, code=Exit.NOT_FOUND, any_bytes=True)


def copied(path: Path) -> bytes:
    """What is kept of a user's file, for all who may read the install: no passwords, no tokens."""
    return masked(read(path)).encode(**TEXT)


def warn(text: str) -> None:
    """A warning, unless the user wants to see errors only."""
    if os.environ.get("CW_LOG_LEVEL", "2") != "0":
        console.warn(text)
