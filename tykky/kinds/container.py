"""``ContainerStack``: programs of an existing container image as ordinary commands.

The image is not copied and not changed. What an install adds is a small image of its own with a
link for each command, which lies over the prefix; so a command's path leads to its program inside
and to the launcher outside, as in any other stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from tykky import bases
from tykky.bases import ImageBase
from tykky.errors import StepError
from tykky.kinds.stack import Stack
from tykky.lock import Package
from tykky.recipe import guarded

if TYPE_CHECKING:
    from tykky.bases import Base
    from tykky.build.box import Box, RealBox
    from tykky.config import Config
    from tykky.lock import Lock

#: Where Apptainer's images keep the scripts that set their environment.
_SCRIPTS = "/.singularity.d/env"
#: What a shell sets by itself, or the box; not the image's.
_NOT_OF_THE_IMAGE = frozenset(
    {"_", "PWD", "OLDPWD", "SHLVL", "HOME", "TMPDIR", "LANG", "XDG_CACHE_HOME", "PS1"}
    | {"SOURCE_DATE_EPOCH", "PYTHONHASHSEED", "SINGULARITY_NAME", "APPTAINER_NAME"}
)


class ContainerStack(Stack):
    """Programs of an image.

    ``image`` is a reference as a base has them, perhaps by architecture: ``docker://...``, a SIF,
    ``oci-archive:...``. ``commands`` are names or globs along the image's PATH, paths
    (``/opt/x/bin/*``), directories (``/opt/x/bin/``), or a mapping that gives new names.
    """

    image: str | Mapping[str, str] = ""
    wraps_base: ClassVar[bool] = True

    def _image(self, arch: str) -> str:
        image = guarded(self, "image")
        if isinstance(image, Mapping):
            image = image.get(arch, "")
        if not image or image == "host":
            remedy = "set 'image' to docker://..., a SIF, or another reference"
            raise self._wrong(f"names no image for {arch}", remedy, "image")
        if not self._patterns():
            remedy = "set 'commands' to names, paths or directories in the image"
            raise self._wrong("offers no commands of its image", remedy)
        return str(image)

    def _patterns(self) -> tuple[str, ...]:
        """What the commands are in the image."""
        wanted = guarded(self, "commands")
        return tuple(wanted.values() if isinstance(wanted, Mapping) else wanted)

    def asked(self, config: Config, arch: str) -> dict[str, Any]:
        """What the lock is resolved from."""
        return {"image": self._image(arch)}

    def resolve(
        self, config: Config, arch: str, held: Sequence[Package] | None = None
    ) -> tuple[Package, ...]:
        """The image as one package, with its digest."""
        image = self._image(arch)
        found = bases.find(image, config, folder=self.directory, again=held is not None)
        return (Package("image", str(self.version), image, found.digest),)

    def find_base(self, config: Config, arch: str, lock: Lock) -> Base:
        """The image, as it was locked."""
        (package,) = lock.packages
        return bases.find(self._image(arch), config, folder=self.directory, digest=package.sha256)

    def check(self, prefix: Path, base: Base) -> None:
        """Refuse commands that the image does not have, before anything is made."""
        for pattern in self._patterns():
            if not base.programs(pattern):
                remedy = "correct 'commands'; names are looked for along the image's PATH"
                raise self._wrong(f"has no program '{pattern}' in its image", remedy, "commands")

    def seal(self, box: Box) -> None:
        """Let virtual environments on top of a wrapped Python find its library."""
        for library in python_libraries(box.base, self._patterns()):
            box.link(f"lib/{library.name}", library)

    def variables(self, box: RealBox) -> dict[str, str]:
        """What the image's own scripts add to the environment."""
        return image_variables(box)


def python_libraries(base: Base, patterns: Iterable[str]) -> Iterator[PurePosixPath]:
    """The libraries of each Python that the patterns mean: ``lib/python3.11``, ``lib/python3``."""
    if not isinstance(base, ImageBase):
        return
    programs = {path for pattern in patterns for path in base.programs(pattern)}
    for program in sorted(programs):
        real = PurePosixPath(base.listing.resolve(program))
        if re.fullmatch(r"python3\.\d+", real.name):
            for name in (real.name, "python3"):
                library = real.parent.parent / "lib" / name
                if base.listing.resolve(str(library)):
                    yield library


def image_variables(box: RealBox) -> dict[str, str]:
    """What the scripts of a box's image add to the environment, told by running them in it."""
    base = box.base
    if not isinstance(base, ImageBase) or not base.listing.resolve(_SCRIPTS):
        return {}
    if base.which("/bin/sh") is None or base.which("env") is None:
        return {}
    script = f'for f in {_SCRIPTS}/*.sh; do [ -f "$f" ] && . "$f"; done; env -0'
    try:
        printed = box.run(["/bin/sh", "-c", script], env={"PATH": base.path})
    except StepError as error:
        error.remedy = error.remedy or f"correct the scripts in {_SCRIPTS} of the image"
        raise
    given = {**box.environment(), "PATH": base.path}
    pairs = (entry.partition("=") for entry in printed.split("\0"))
    return {
        name: value
        for name, equals, value in pairs
        if equals and name not in _NOT_OF_THE_IMAGE and given.get(name) != value
    }
