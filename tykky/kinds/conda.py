"""``CondaStack``: a conda environment, made without conda.

The packages are solved, downloaded and put at the prefix by rattler, so there is no Miniforge in
the image. What ``conda activate`` would set is found out once, while building, and stored.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.bases import HostBase
from tykky.conda import channels as known
from tykky.conda import packages as contents
from tykky.conda.activation import applied, snapshot
from tykky.conda.channels import honoured, public, taken_out
from tykky.conda.environment import Environment, checked, read
from tykky.conda.equip import equip
from tykky.conda.process import Scene
from tykky.conda.target import FOLDER
from tykky.console import plural
from tykky.contents import Installed, of_environment
from tykky.kinds.changing import change, check_apart, check_conda
from tykky.kinds.pip import check_digests, from_file, requirements
from tykky.kinds.python import PythonStack, check_prefix, seal
from tykky.recipe import guarded
from tykky.recipe.source import attribute_place
from tykky.tools import uv
from tykky.tools.overlay import NoLayers

if TYPE_CHECKING:
    from tykky.bases import Base
    from tykky.build.box import Box, RealBox
    from tykky.config import Config
    from tykky.lock import Package
    from tykky.runtime.base import EnvChange


class CondaStack(PythonStack):
    """Packages from conda channels, and from the package index as well if need be.

    ``packages`` are specs as conda writes them; ``environment`` names a file beside the recipe
    instead, or in addition: an ``environment.yml``, an explicit list, or a list of specs; or one
    for each architecture. ``pip`` are requirements that are resolved against the environment's
    own Python, ``requirements`` names a file of such; ``source`` names those of them that may be
    built from source. ``channels`` are names that the configuration
    resolves, or addresses; ``virtual_packages`` what the machines have that the stack is for.
    """

    channels: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    environment: str | Mapping[str, str] = ""
    pip: tuple[str, ...] = ()
    requirements: str = ""
    source: tuple[str, ...] = ()
    virtual_packages: tuple[str, ...] = ()
    commands = ("*",)
    layers = True

    def _wanted(self, config: Config, arch: str) -> tuple[Environment, Config]:
        """The file's wishes and the recipe's own, as one; and the configuration for these.

        That has the user's own conda configuration on top, if they ask for it, and what the
        addresses of channels have of passwords.
        """
        config = honoured(config)
        name = self._file_for(arch)
        path = self.beside(name) if name else None
        file = self._read(path, arch) if path else Environment()
        own = guarded(self, "packages")
        for index, spec in enumerate(own):
            checked(spec, attribute_place(type(self), "packages", (index,)))
        specs = (*file.specs, *own)
        pip = (*file.pip, *requirements(self, "pip"))
        pip += (*from_file(self, "requirements"),) if guarded(self, "requirements") else ()
        if not specs and not file.pinned:
            remedy = "set 'packages', or 'environment' to a file beside the recipe"
            raise self._wrong("names no packages", remedy)
        if file.pinned and specs:
            problem = "adds packages to an explicit list, which is complete"
            raise self._wrong(problem, "take 'packages' out, or write an environment.yml")
        if pip and not file.pinned and "pip" not in specs:
            specs = (*specs, "pip")
        self._check_open()
        wanted = Environment(
            channels=_named(guarded(self, "channels"), file.channels, config.conda.channels),
            specs=tuple(sorted(dict.fromkeys(specs), key=str.lower)),
            pip=tuple(sorted(dict.fromkeys(pip), key=str.lower)),
            variables=file.variables,
            pinned=file.pinned,
            names=file.names,
        )
        return taken_out(wanted, config)

    def _file_for(self, arch: str) -> str:
        named = guarded(self, "environment")
        if isinstance(named, Mapping):
            if arch not in named:
                remedy = f"add one: {arch!r}: 'FILE'; it has those for {', '.join(named)}"
                raise self._wrong(f"names no packages for {arch}", remedy, "environment")
            named = named[arch]
        return str(named)

    def _read(self, path: Path, arch: str) -> Environment:
        return read(path, arch)

    def _check_open(self) -> None:
        """Recipes are read by everybody, and kept with what is made of them."""
        for field in ("channels", "packages"):
            if any(public(text) != text for text in guarded(self, field)):
                remedy = (
                    "put the address into your configuration, "
                    "'tykky config set conda.aliases NAME=ADDRESS', and only NAME into the recipe"
                )
                raise self._wrong(f"has a password or token in '{field}'", remedy, field)

    def asked(self, config: Config, arch: str) -> dict[str, Any]:
        """What the lock is resolved from."""
        wanted, config = self._wanted(config, arch)
        return {
            "channels": list(wanted.channels),
            "specs": list(wanted.specs),
            "pip": list(wanted.pip),
            "source": list(guarded(self, "source")),
            "pinned": [f"{p.url}#{p.sha256 or p.md5}" for p in wanted.pinned],
            "variables": [f"{name}={value}" for name, value in sorted(wanted.variables.items())],
            "platform": known.subdir_of(arch),
            "strict_priority": str(config.conda.strict_priority).lower(),
            "virtual_packages": ["=".join(v) for v in self._virtual_packages(config, arch)],
        }

    def _virtual_packages(self, config: Config, arch: str) -> tuple[tuple[str, str, str], ...]:
        return known.virtual_packages(guarded(self, "virtual_packages"), config, arch)

    def resolve(
        self, config: Config, arch: str, held: Sequence[Package] | None = None
    ) -> tuple[Package, ...]:
        """The packages for the lock, from the channels and the package index."""
        from tykky.tools.scratch import Scratch

        wanted, config = self._wanted(config, arch)
        with tempfile.TemporaryDirectory(prefix="tykky-") as folder:
            scratch = Scratch(Path(folder))
            scene = Scene(config, scratch)
            if wanted.pinned:
                found = contents.pinned(wanted.pinned, known.subdir_of(arch), config)
            else:
                found = contents.solve(
                    wanted,
                    scene,
                    subdir=known.subdir_of(arch),
                    virtual_packages=self._virtual_packages(config, arch),
                    strict=config.conda.strict_priority,
                    held=[f"{p.name} =={p.version} {p.build}" for p in held or () if p.is_conda],
                )
            if wanted.pip:
                found = contents.with_pip(
                    found,
                    wanted.pip,
                    arch=arch,
                    source=guarded(self, "source"),
                    config=config,
                    scratch=scratch,
                    held=[package for package in held or () if not package.is_conda],
                )
                check_digests(self, wanted.pip, [p for p in found if not p.is_conda])
            return found

    def check(self, prefix: Path, base: Base) -> None:
        """Refuse a prefix that no script could name."""
        check_prefix(prefix, "bin/python3.12")

    def assemble(self, box: Box) -> None:
        """Install exactly what the lock says."""
        conda = [package for package in box.lock.packages if package.is_conda]

        def install(real: RealBox) -> None:
            wanted, config = self._wanted(box.config, box.lock.arch)
            real.seen = _seen(wanted, config)
            scene = Scene.of(real, config)
            subdir = known.subdir_of(box.lock.arch)
            if box.before is not None:
                if not self.on_base:
                    check_conda(real)
                    check_apart(real)
                names, machine = contents.change(
                    box.before, box.lock, box.prefix, scene, subdir=subdir, say=real.say
                )
            else:
                specs = box.lock.asked.get("specs", ())
                names, machine = contents.install(
                    conda, box.prefix, scene, subdir=subdir, specs=specs, say=real.say
                )
            declared = box.lock.asked.get("virtual_packages", ())
            host = isinstance(box.base, HostBase)
            real.remarks += known.lacking(declared, machine, glibc=host)
            for what, line, variables in contents.link_scripts(real.real("."), box.prefix, names):
                if box.before and not self.on_base and len(conda) < len(box.lock.packages):
                    raise NoLayers(f"{what} is to be done before pip's packages are there")
                real.run(line, env=variables, say=what)

        box.do(f"install {plural(len(conda), 'conda package')}", install)
        pip = [package for package in box.lock.packages if not package.is_conda]
        python, what = contents.python_of(conda), "it from the package index"
        source = guarded(self, "source")
        if box.before is not None:
            change(box, box.prefix / "bin/python", source, python, what)
            if not self.on_base:
                box.do("see that no package has files of another", check_apart)
        elif pip:
            uv.install(box, pip, source, python, what)
        if pip:
            say = f"{plural(len(conda), 'conda package')}, {len(pip)} of pip"
            box.run(["/bin/rm", "-f", box.prefix / ".tykky-requirements.txt"], say=say)
        variables = dict(item.partition("=")[::2] for item in box.lock.asked.get("variables", ()))
        if variables:
            # Where conda keeps the variables of an environment.
            state = json.dumps({"env_vars": variables}, indent=1, sort_keys=True)
            box.write("conda-meta/state", state + "\n")
        elif box.before is not None and box.before.asked.get("variables"):
            box.run(["/bin/rm", box.prefix / "conda-meta/state"])

    def equip(self, box: Box) -> None:
        """Activate the environment for the recipe's commands, and give them ``conda``."""

        def activate(real: RealBox) -> None:
            wanted, config = self._wanted(box.config, box.lock.arch)
            equip(
                real,
                config,
                channels=wanted.channels,
                names=(self.name, *wanted.names),
                virtual_packages=guarded(self, "virtual_packages"),
            )
            real.seen = _seen(wanted, config)
            usual = real.environment()
            after = applied(snapshot(real), usual)
            after["PATH"] = f"{FOLDER}:{after['PATH']}"
            after |= _for_pip(box.config if real.network else None)
            real.variables = {k: v for k, v in after.items() if usual.get(k) != v}

        box.do("activate the environment, with conda for scripts that call it", activate)

    def seal(self, box: Box) -> None:
        """Compile the byte code once."""
        root = box.real(".")
        planned = contents.python_of(box.lock.packages)
        if not planned and (root is None or not os.path.lexists(root / "bin/python")):
            return
        seal(box, "all")

    def contents(self, box: RealBox) -> Sequence[Installed]:
        """The conda packages, and what pip has added to them."""
        found = of_environment(box.real("."), lambda url: known.name_of(url, box.config))
        return sorted(found, key=lambda package: package.name.lower())

    def activation(self, box: RealBox) -> Sequence[EnvChange]:
        """What ``conda activate`` would change."""
        return snapshot(box)


def _seen(wanted: Environment, config: Config) -> list[Path]:
    """The channels on disk that commands in a box may ask, the same in every step."""
    aliases = (item.partition("=")[2] for item in config.conda.aliases)
    named = (channel.url for channel in known.resolve(wanted.channels, config))
    return known.on_disk((*named, *aliases))


def _for_pip(config: Config | None) -> dict[str, str]:
    """What makes a pip that a script calls use nothing of a user's, and the configured indexes.

    Without a configuration it has none.
    """
    indexes = {}
    if config is not None:
        index, *further = uv.indexes(config)
        indexes = {"PIP_INDEX_URL": index, "PIP_EXTRA_INDEX_URL": " ".join(further)}
        indexes |= uv.quarantine(config)
    usual = {"PIP_CONFIG_FILE": "/dev/null", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return {**usual, "PIP_NO_INPUT": "1", **indexes}


def _named(*choices: Sequence[str]) -> tuple[str, ...]:
    """The first choice that names channels."""
    for names in choices:
        if found := tuple(name for name in names if name != "nodefaults"):
            return found
    return ("conda-forge",)
