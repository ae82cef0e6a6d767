"""``CondaExtension``: conda packages, and Python ones, in one layer over the images of a stack.

``tykky extend STACK --conda PACKAGE`` writes recipes of this kind. Conda packages find their files
at the path that is written into them; so what is added lies where the stack lies, and is seen
there by the commands of the extension, and by nobody else.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tykky import lock as locks
from tykky.bases.layers import extract_all
from tykky.bases.stacks import StackBase, find_stack, stack_base
from tykky.conda import packages as contents
from tykky.conda.channels import subdir_of, taken_out
from tykky.conda.environment import Environment, names_of
from tykky.conda.process import Scene
from tykky.contents import Installed
from tykky.errors import Exit, StepError, TykkyError
from tykky.kinds.conda import CondaStack
from tykky.kinds.extension import shadowed
from tykky.lock import Lock, Package, canonical
from tykky.recipe import guarded
from tykky.store import Place
from tykky.tools import uv
from tykky.tools.scratch import Scratch

if TYPE_CHECKING:
    from tykky.bases import Base
    from tykky.build.box import Box, RealBox
    from tykky.config import Config


class CondaExtension(CondaStack):
    """Conda packages on top of a conda stack, whose commands it offers as well.

    ``base`` names the stack, ``python`` is the version of its Python. Its packages stay what they
    are, or nothing is installed: unless ``shadows`` allows others of the same name. ``channels``
    are those of the stack, if none are named.
    """

    kind: ClassVar[str] = "extension"
    on_base: ClassVar[bool] = True
    python: str = ""
    shadows: bool = False
    commands = ("bin/*",)  # what came, and what the stack offers: chosen once it is there
    layers = False

    def _there(self, config: Config, arch: str) -> Lock:
        """The lock of the stack. Raises ``TykkyError``."""
        record = find_stack(self._named_stack(config, arch).removeprefix("stack:"), config)
        return locks.read(Place(Path(record.prefix)).generation(record.generation) / "lock.json")

    def _wanted(self, config: Config, arch: str) -> tuple[Environment, Config]:
        own, config = super()._wanted(config, arch)
        if "pip" not in guarded(self, "packages"):  # that of the stack, or none
            own = replace(own, specs=tuple(spec for spec in own.specs if spec != "pip"))
        if guarded(self, "channels"):
            return own, config
        there = tuple(self._there(config, arch).asked.get("channels", ()))
        return taken_out(replace(own, channels=there or own.channels), config)

    def _virtual_packages(self, config: Config, arch: str) -> tuple[tuple[str, str, str], ...]:
        said = self._there(config, arch).asked.get("virtual_packages", ())
        found = (f"{text}==".split("=")[:3] for text in said)
        return tuple((name, version, build or "0") for name, version, build in found)

    def asked(self, config: Config, arch: str) -> dict[str, Any]:
        """What the lock is resolved from: also what the stack has."""
        there = self._there(config, arch).packages
        on = [f"{p.name}=={p.version}" + (f"={p.build}" if p.build else "") for p in there]
        return {**super().asked(config, arch), "on": sorted(on)}

    def resolve(
        self, config: Config, arch: str, held: Sequence[Package] | None = None
    ) -> tuple[Package, ...]:
        """The packages that the stack lacks. Raises ``StepError`` if one of its own had to go."""
        named, there = self._named_stack(config, arch), self._there(config, arch)
        base = stack_base(named, named.removeprefix("stack:"), config)
        self._check_python(there, base.title)
        wanted, config = self._wanted(config, arch)
        conda = {p.name: p for p in there.packages if p.is_conda}
        found = self._solved(wanted, config, arch, base, [*conda], held or ())
        new = [p for p in found if p.name not in conda or conda[p.name].sha256 != p.sha256]
        lost = [(p.name, conda[p.name].version, p.version) for p in new if p.name in conda]
        if wanted.pip and not (python := self.python or contents.python_of(found)):
            raise self._wrong("asks for Python packages, and has no Python", "add 'python'", "pip")
        if wanted.pip:
            present = {p.name: p.version for p in new} | dict(base.packages)
            new += uv.resolve(
                wanted.pip,
                python=python,
                arch=arch,
                source=guarded(self, "source"),
                config=config,
                present=_readable(present),
                held=[package for package in held or () if not package.is_conda],
            )
            lost += shadowed([p for p in new if not p.is_conda], base.packages)
        if lost and not self.shadows:
            has = ", ".join(f"{name} {old}" for name, old, _ in lost)
            instead = ", ".join(f"{name} {version}" for name, _, version in lost)
            raise StepError(
                f"{base.title} has {has}, and what is asked for would bring {instead}",
                remedy="ask for a version that goes with what is there; '--allow-shadow' of 'tykky "
                "extend' (in the recipe: shadows = True) hides what the stack has",
                code=Exit.RESOLVE,
            )
        return tuple(new)

    def _check_python(self, there: Lock, title: str) -> None:
        if self.python != (python := contents.python_of(there.packages)):
            raise StepError(
                f"{title} has {f'Python {python}' if python else 'no Python'}, and the recipe "
                f"'{self.name}' is for {self.python or 'one without'}",
                remedy="what was made for another Python has to come anew: 'tykky extend "
                f"{guarded(self, 'base').removeprefix('stack:')} --name {self.name}' takes the "
                "Python that there is",
                code=Exit.BASE,
            )

    def _solved(
        self,
        wanted: Environment,
        config: Config,
        arch: str,
        base: StackBase,
        there: Sequence[str],
        held: Sequence[Package],
    ) -> tuple[Package, ...]:
        """All conda packages of the stack and the extension."""
        with tempfile.TemporaryDirectory(prefix="tykky-") as folder:
            scratch = Scratch(Path(folder))
            scratch.root.mkdir()
            extract_all(base.images, "conda-meta", scratch.root)
            scene = Scene(config, scratch, {scratch.root: scratch.root})
            own = {*names_of(wanted.specs)}
            more = tuple(name for name in there if name not in own)

            def solved(*, freeze: bool) -> tuple[Package, ...]:
                return contents.solve(
                    replace(wanted, specs=(*wanted.specs, *more)),
                    scene,
                    subdir=subdir_of(arch),
                    virtual_packages=self._virtual_packages(config, arch),
                    strict=config.conda.strict_priority,
                    prefix=str(scratch.root),
                    freeze=freeze,
                    held=[f"{p.name} =={p.version} {p.build}" for p in held if p.is_conda],
                )

            try:
                return solved(freeze=True)
            except TykkyError as error:
                if error.code != Exit.RESOLVE:
                    raise
                try:  # what would have to change, to be named or allowed
                    return solved(freeze=False)
                except TykkyError:
                    raise error from None

    def assemble(self, box: Box) -> None:
        """Put into the stack what is new."""
        super().assemble(replace(box, lock=together(box.before, box.lock)) if box.before else box)

    def seal(self, box: Box) -> None:
        """Compile the byte code of what is new, and see that it agrees with what is there."""
        super().seal(box)
        names = {canonical(package.name) for package in box.lock.packages}
        root = box.real(".")
        if root is None or not (root / "bin/python").exists():
            return
        line: list[str | Path] = [uv.program(), "pip", "check", "--python"]
        try:
            box.run(
                [*line, box.prefix / "bin/python"],
                env=uv.offline(box.config),
                say="whether the packages agree",
            )
        except StepError as error:
            said = " ".join(error.details)
            if any(f"`{name}`" in said or f"`{name}=" in said for name in names):
                raise
            # What the stack itself lacks is not for the extension to mend.

    def contents(self, box: RealBox) -> Sequence[Installed]:
        """The packages that the layer has."""
        upper = box.scratch.upper
        if upper is None:
            return super().contents(box)
        own = {path.stem for path in upper.glob("conda-meta/*.json")}
        found = upper.glob("lib/python3*/site-packages/*.dist-info")
        dists = {canonical(path.name.rpartition("-")[0]) for path in found if path.is_dir()}
        return [
            p
            for p in super().contents(box)
            if f"{p.name}-{p.version}-{p.build}" in own
            or (p.type == "pypi" and canonical(p.name) in dists)
        ]

    def check(self, prefix: Path, base: Base) -> None:
        """Nothing: no script names the extension's own place."""


def together(there: Lock, own: Lock) -> Lock:
    """The lock of a stack with that of an extension, whose packages replace others of the name."""
    new = {(p.is_conda, canonical(p.name)) for p in own.packages}
    kept = [p for p in there.packages if (p.is_conda, canonical(p.name)) not in new]
    names = {p.name for p in own.packages if p.is_conda}
    specs = [*there.asked.get("specs", ())]
    specs += [text for text in own.asked.get("specs", ()) if names & {*names_of([text])}]
    asked: Mapping[str, Any] = {**own.asked, **there.asked, "specs": specs}
    return replace(own, asked=asked, packages=(*kept, *own.packages))


def _readable(present: Mapping[str, str]) -> dict[str, str]:
    """The versions that the resolver of Python packages can read."""
    from packaging.version import InvalidVersion, Version

    found = {}
    for name, version in sorted(present.items()):
        try:
            found[name] = str(Version(version))
        except InvalidVersion:
            continue
    return found
