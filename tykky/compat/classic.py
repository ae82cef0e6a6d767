"""The recipe that a classic command is turned into, in memory.

Public name: ``Classic``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from tykky import bases, console
from tykky.bases import ImageBase
from tykky.compat import script
from tykky.compat.job import Job
from tykky.errors import Exit, TykkyError
from tykky.kinds.stack import Stack
from tykky.lock import Lock
from tykky.recipe import Version
from tykky.store.record import name_of

if TYPE_CHECKING:
    from tykky.bases import Base
    from tykky.build.box import Box, OpenBox, RealBox
    from tykky.fetch import Say

#: The images that distributions are called by, where their own name is not the image's.
_IMAGES = {
    "sles": "docker://registry.suse.com/bci/bci-base:{version}",
    "rhel": "docker://redhat/ubi{major}:{version}",
    "rocky": "docker://rockylinux/rockylinux:{version}",
}


class Classic(Stack):
    """A stack of the wishes of one call: what the four commands have in common.

    ``kind`` is what their configuration calls the mode.

    The contents have a path of their own inside, and are made by the user's scripts with what a
    kind does between them.
    """

    kind: ClassVar[str] = "classic"
    title: ClassVar[str]
    #: Whether ``create`` does anything.
    creates: ClassVar[bool] = False
    #: Whether there is an image besides a container.
    has_image: ClassVar[bool] = True
    homepage = "https://github.com/CSCfi/hpc-container-wrapper"
    license = "that of what it consists of"

    def __init__(self, job: Job) -> None:
        self.job = job
        self.version = Version("1")
        self.choices = MappingProxyType({})
        self.name = name_of(job.prefix)  # type: ignore[misc]
        self.file = self.directory = job.workdir  # type: ignore[misc]
        self.description = f"{self.title} made by {job.program}"  # type: ignore[misc]

    @property
    def below(self) -> str:
        """Where in the contents the environment is; empty: they are the environment."""
        return ""

    @property
    def root(self) -> Path:
        """The environment, at its path inside."""
        return self.job.inside / self.below

    def examine(self) -> None:
        """Find out early what would fail late. Raises ``TykkyError``."""

    def seen(self) -> list[Path]:
        """What of the host an isolated build has to see."""
        mounts = map(Path, self.job.values.get("mount_points", ()))
        return [*mounts, self.job.workdir, *(path.parent for path in self.job.inputs.values())]

    def settle(self, say: Say) -> Lock:
        """Find out what goes into the install, as far as that is known beforehand."""
        return Lock(self.name, "1", "", bases.arch(), {}, ())

    def provide(self, say: Say) -> Base:
        """The base: the host, or the container of the installation. Raises ``TykkyError``."""
        job = self.job
        if self.has_image and not job.values["isolate"]:
            return bases.host()
        source = str(job.values["container_src"])
        kept = job.prefix / str(job.values["container_image"])
        if job.old is not None and kept.exists():
            source = str(kept.resolve())
        elif source == "auto":
            source = _image_of_host()
        elif (path := job.workdir / Path(source).expanduser()).exists():
            # Any path of something that is there; '..' is only known to the file system.
            source = str(path.resolve() if ".." in path.parts else path)
        found = bases.find(source, job.config, folder=job.workdir)
        base = bases.provide(found, job.config, say)
        if not isinstance(base, ImageBase):
            raise TykkyError(
                f"'{source}' is no container",
                remedy="give a SIF, a squashfs image, a root directory or docker://...",
                code=Exit.BASE,
            )
        return base

    # -- the steps of the pipeline -----------------------------------------------------

    def assemble(self, box: Box) -> None:
        """Run the user's scripts, with what the kind does in between."""
        if not self.has_image:
            box.say("nothing: all is in the container")
            return
        real: Any = box
        box.say("the installation script")
        watched = self.job.level == 2 and console.is_terminal(sys.stderr)
        script.run(self.job, self, real, watched or self.job.level > 2)
        box.say(self.title)

    def variables(self, box: RealBox) -> Mapping[str, str]:
        """What scripts of an image set for its programs."""
        if not isinstance(box.base, ImageBase):
            return {}
        from tykky.kinds.container import image_variables

        return image_variables(box)

    # -- what is different from command to command --------------------------------------

    def create(self, box: OpenBox) -> None:
        """Between the scripts: make what they add to. What can be a script is in ``steps``."""

    def steps(self) -> str:
        """The same, as commands of the script; ``install_root`` and ``env_root`` are set."""
        return ""

    def script_variables(self, box: OpenBox) -> Mapping[str, str]:
        """More variables for the script."""
        return {}

    def wrapped(self) -> list[str]:
        """The directories of its own whose programs are commands."""
        return []

    def library(self, box: OpenBox) -> str:
        """The directory of the standard library to be seen at the prefix: ``lib/python3.11``."""
        return ""

    def state(self) -> dict[str, Any]:
        """What an update will have to know."""
        return {}


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
