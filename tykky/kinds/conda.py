"""``CondaStack``: a conda environment, made without conda.

The packages are solved, downloaded and put at the prefix by rattler, so there is no Miniforge in
the image. What ``conda activate`` would set is found out once, while building, and stored.

Public name: ``CondaStack``.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.bases import HostBase
from tykky.conda import channels as known
from tykky.conda import packages as contents
from tykky.conda import pip as conda_pip
from tykky.conda.activation import applied, snapshot
from tykky.conda.condarc import honoured
from tykky.conda.credentials import public, taken_out
from tykky.conda.environment import Environment, read
from tykky.conda.equip import equip
from tykky.conda.process import Outside
from tykky.conda.target import FOLDER, Target
from tykky.console import plural
from tykky.contents import Installed, files_of_conda, of_conda, of_python
from tykky.errors import RecipeError, Where
from tykky.kinds.paths import check_prefix
from tykky.kinds.sealing import seal
from tykky.kinds.stack import Stack
from tykky.recipe import guarded
from tykky.recipe.source import attribute_place, class_place
from tykky.tools import uv

if TYPE_CHECKING:
    from tykky.bases import Base
    from tykky.build.box import Box, RealBox
    from tykky.config import Config
    from tykky.lock import Package
    from tykky.runtime.base import EnvChange


class CondaStack(Stack):
    """Packages from conda channels, and from the package index as well if need be.

    ``packages`` are specs as conda writes them; ``environment`` names a file beside the recipe
    instead, or in addition: an ``environment.yml``, an explicit list, or a list of specs. ``pip``
    are requirements that are resolved against the environment's own Python; ``source`` names
    those of them that may be built from source. ``channels`` are names that the configuration
    resolves, or addresses; ``virtual_packages`` what the machines have that the stack is for.
    ``unlocked`` says why no lock comes with the recipe, if none does.
    """

    channels: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    environment: str = ""
    pip: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    virtual_packages: tuple[str, ...] = ()
    unlocked: str = ""
    commands = ("*",)

    def _wanted(self, config: Config, arch: str) -> tuple[Environment, Config]:
        """The file's wishes and the recipe's own, as one; and the configuration for these.

        That has the user's own conda configuration on top, if they ask for it, and what the
        addresses of channels have of passwords.
        """
        config = honoured(config)
        name = guarded(self, "environment")
        path = self.beside(name) if name else None
        file = self._read(path, arch) if path else Environment()
        specs = (*file.specs, *guarded(self, "packages"))
        pip = (*file.pip, *guarded(self, "pip"))
        if not specs and not file.pinned:
            raise RecipeError(
                f"the recipe '{self.name}' names no packages",
                remedy="set 'packages', or 'environment' to a file beside the recipe",
                where=class_place(type(self)),
            )
        if file.pinned and specs:
            raise RecipeError(
                f"the recipe '{self.name}' adds packages to an explicit list, which is complete",
                remedy="take 'packages' out, or write an environment.yml",
                where=Where(self.file),
            )
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

    def _read(self, path: Path, arch: str) -> Environment:
        return read(path, arch)

    def _check_open(self) -> None:
        """Recipes are read by everybody, and kept with what is made of them."""
        for field in ("channels", "packages"):
            if any(public(text) != text for text in guarded(self, field)):
                raise RecipeError(
                    f"the recipe '{self.name}' has a password or token in '{field}'",
                    remedy="put the address into your configuration, "
                    "'tykky config set conda.aliases NAME=ADDRESS', and only NAME into the recipe",
                    where=attribute_place(type(self), field),
                )

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

    def resolve(self, config: Config, arch: str) -> tuple[Package, ...]:
        """The packages for the lock, from the channels and the package index."""
        from tykky.tools.scratch import Scratch

        wanted, config = self._wanted(config, arch)
        with tempfile.TemporaryDirectory(prefix="tykky-") as folder:
            scratch = Scratch(Path(folder))
            scene = Outside(scratch, config)
            if wanted.pinned:
                found = contents.pinned(wanted.pinned, known.subdir_of(arch), config)
            else:
                specs, asked = known.qualify(wanted.specs, wanted.channels, config)
                request = contents.Request(
                    specs=specs,
                    channels=asked,
                    subdir=known.subdir_of(arch),
                    virtual_packages=self._virtual_packages(config, arch),
                    strict=config.conda.strict_priority,
                )
                found = contents.solve(request, scene)
            if wanted.pip:
                found += conda_pip.resolve(
                    wanted.pip,
                    found,
                    arch=arch,
                    source=guarded(self, "source"),
                    config=config,
                    scratch=scratch,
                )
            return found

    def check(self, prefix: Path, base: Base) -> None:
        """Refuse a prefix that no script could name."""
        check_prefix(prefix, "bin/python3.12")

    def assemble(self, box: Box) -> None:
        """Install exactly what the lock says."""
        conda = [package for package in box.lock.packages if package.is_conda]
        subdir = known.subdir_of(box.lock.arch)

        def install(real: RealBox) -> None:
            wanted, config = self._wanted(box.config, box.lock.arch)
            real.seen = _seen(wanted, config)
            scene = replace(Outside.of(real), config=config)
            specs = box.lock.asked.get("specs", ())
            done = contents.install(
                conda, box.prefix, scene, subdir=subdir, specs=specs, say=real.say
            )
            declared = box.lock.asked.get("virtual_packages", ())
            host = isinstance(box.base, HostBase)
            real.remarks += known.lacking(declared, done.machine, glibc=host)
            for script in contents.link_scripts(real.real("."), box.prefix, done.names):
                say = f"what {script.name} does when it is in place"
                real.run(script.command, env=script.variables, say=say)

        box.do(f"install {plural(len(conda), 'conda package')}", install)
        pip = [package for package in box.lock.packages if not package.is_conda]
        if pip:
            uv.install(box, pip, guarded(self, "source"), "it from the package index")
            requirements = box.prefix / ".tykky-requirements.txt"
            say = f"{plural(len(conda), 'conda package')}, {len(pip)} of pip"
            box.run(["/bin/rm", requirements], say=say)
        variables = dict(item.partition("=")[::2] for item in box.lock.asked.get("variables", ()))
        if variables:
            _write_state(box, variables)

    def equip(self, box: Box) -> None:
        """Activate the environment for the recipe's commands, and give them ``conda``."""

        def activate(real: RealBox) -> None:
            wanted, config = self._wanted(box.config, box.lock.arch)
            equip(real, self._target(box, FOLDER))
            real.seen = _seen(wanted, config)
            usual = real.environment()
            after = applied(snapshot(real), usual)
            after["PATH"] = f"{FOLDER}:{after['PATH']}"
            after |= _for_pip(box.config)
            real.variables = {k: v for k, v in after.items() if usual.get(k) != v}

        box.do("activate the environment, with conda for scripts that call it", activate)

    def _target(self, box: Box, folder: Path) -> Target:
        """What ``conda`` in the box works on; it keeps that in a folder."""
        wanted, config = self._wanted(box.config, box.lock.arch)
        return Target(
            prefix=box.prefix,
            channels=wanted.channels,
            subdir=known.subdir_of(box.lock.arch),
            virtual_packages=self._virtual_packages(config, box.lock.arch),
            strict=config.conda.strict_priority,
            names=(self.name, str(box.prefix), "base", *wanted.names),
            arch=box.lock.arch,
            config=config,
            state=folder / "target",
        )

    def seal(self, box: Box) -> None:
        """Compile the byte code once."""
        root = box.real(".")
        planned = contents.python_of(box.lock.packages)
        if not planned and (root is None or not os.path.lexists(root / "bin/python")):
            return
        seal(box, "all")

    def contents(self, box: RealBox) -> Sequence[Installed]:
        """The conda packages, and what pip has added to them."""
        prefix = box.real(".")
        conda = of_conda(prefix, lambda url: known.name_of(url, box.config))
        added = of_python(prefix, files_of_conda(prefix))
        return sorted((*conda, *added), key=lambda package: package.name.lower())

    def activation(self, box: RealBox) -> Sequence[EnvChange]:
        """What ``conda activate`` would change."""
        return snapshot(box)


def _seen(wanted: Environment, config: Config) -> list[Path]:
    """The channels on disk that commands in a box may ask, the same in every step."""
    aliases = (known.Channel(*item.split("=", 1)) for item in config.conda.aliases if "=" in item)
    return known.on_disk((*known.resolve(wanted.channels, config), *aliases))


def _for_pip(config: Config) -> dict[str, str]:
    """What makes a pip that a script calls use the configured indexes, and nothing of a user's."""
    return {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_INDEX_URL": config.pip.index_url,
        "PIP_EXTRA_INDEX_URL": " ".join(config.pip.extra_index_urls),
        "PIP_NO_INPUT": "1",
    }


def _named(*choices: Sequence[str]) -> tuple[str, ...]:
    """The first choice that names channels."""
    for names in choices:
        if found := tuple(name for name in names if name != "nodefaults"):
            return found
    return ("conda-forge",)


def _write_state(box: Box, variables: Mapping[str, str]) -> None:
    """The variables of an environment file, where conda keeps them."""
    state = {"env_vars": dict(variables)}
    box.write("conda-meta/state", json.dumps(state, indent=1, sort_keys=True) + "\n")
