"""``conda-containerize``: a conda environment made from an environment file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tykky import bases
from tykky import lock as locks
from tykky.build.box import Box, OpenBox
from tykky.build.locking import fresh_lock
from tykky.compat.classic import Classic, warn
from tykky.compat.layout import share_of
from tykky.compat.settings import Values
from tykky.conda.channels import honoured, public
from tykky.conda.environment import Environment, read
from tykky.conda.equip import equip
from tykky.config import Config
from tykky.errors import Exit, RecipeError, TykkyError, Where
from tykky.fetch import Say
from tykky.kinds.conda import CondaStack
from tykky.kinds.python import seal
from tykky.lock import Lock, Package
from tykky.resources import resource
from tykky.store import Place
from tykky.tools import indexes


class Conda(Classic, CondaStack):
    """A conda environment at ``miniforge/envs/env1``, made without Miniforge."""

    kind = "conda"
    title = "conda environment"
    creates = True
    is_environment = True
    commands: tuple[str, ...] = ()  # type: ignore[assignment]
    #: Whether pip is wanted that the file does not name.
    adds_pip = False

    @classmethod
    def meant(cls, values: Values, verb: str) -> Values:
        """uv is said to be for mamba only."""
        found = {"add_ld": False, **values}
        if verb != "new":
            return found
        if found.get("use_uv") and not found.get("mamba"):
            warn("--uv has no effect without --mamba")
            found["use_uv"] = False
        return {"mamba": False, "use_uv": False, "pipcache": True, **found}

    @property
    def below(self) -> str:
        """Where Miniforge would have it; an install that is bound to its place is the environment.

        An installation from before Miniforge has it where Miniconda had it.
        """
        return "" if self.is_bound else f"miniforge/envs/{self.values['env_name']}"

    def examine(self) -> None:
        """Refuse to make what nothing describes."""
        super().examine()
        if self.old is None and not self.values.get("env_file"):
            cause = "nothing says what the environment consists of"
            remedy = "name its file: 'env_file: environment.yml'"
            raise TykkyError(cause, remedy=remedy, code=Exit.CONFIG)

    # -- as the kind of recipes asks ----------------------------------------------------

    @property
    def environment(self) -> str:  # type: ignore[override]
        """The user's file."""
        return str(self.named("env_file") or "")

    def _read(self, path: Path, arch: str) -> Environment:
        """What the file says, but for what is pip's: that is left to pip, and whatever it takes."""
        found = read(path, arch, locked=False)
        if not (found.specs or found.pinned or found.pip):
            remedy = "name at least one, for example: python"
            raise RecipeError(f"{path.name} names no packages", remedy=remedy, where=Where(path))
        more = ("pip",) if (found.pip or self.adds_pip) and not found.pinned else ()
        return replace(found, pip=(), specs=(*found.specs, *more))

    def resolve(
        self, config: Config, arch: str, held: Sequence[Package] | None = None
    ) -> tuple[Package, ...]:
        """The packages; with Python comes pip, as with conda. Raises ``TykkyError``."""
        found = super().resolve(config, arch, held)
        names = {package.name for package in found}
        self.adds_pip = "python" in names and "pip" not in names
        if self.adds_pip and not self._wanted(config, arch)[0].pinned:
            with contextlib.suppress(TykkyError):  # there need not be one in the channels
                return super().resolve(config, arch, held)
        return found

    def settle(self, say: Say) -> Lock:
        """Solve the environment."""
        if self.old is not None:  # what is added comes from where the environment is from
            wanted, _ = self._wanted(self.config, bases.arch())
            channels = [public(name) for name in wanted.channels]
            return replace(super().settle(say), asked={"channels": channels})
        say("solving the environment")
        return fresh_lock(self, self.config, bases.arch())

    def assemble(self, box: Box) -> None:
        """Run the scripts, and not only what the kind of recipes does."""
        Classic.assemble(self, box)

    def create(self, box: OpenBox) -> None:
        """Install the packages, and give the scripts a ``conda``."""
        box.scratch.root.mkdir(parents=True, exist_ok=True)
        if self.old is None:
            CondaStack.assemble(self, box)
        wanted, config = self._wanted(box.config, box.lock.arch)
        equip(box, config, channels=wanted.channels, names=wanted.names, folder=box.tmp / "tools")

    def equip(self, box: Box) -> None:
        """It was done before the scripts ran."""

    def _wanted(self, config: Config, arch: str) -> tuple[Environment, Config]:
        """What the file asks for; in an update, only what it may be added from."""
        named = str(self.values["env_name"])
        if self.old is None:
            wanted, config = super()._wanted(config, arch)
            return replace(wanted, names=(named, *wanted.names)), config
        config = honoured(config)
        place = Place(self.prefix)
        kept = place.generation() / "lock.json"
        known = locks.read(kept).asked.get("channels") if place.current else ()
        known = known or _channels_of(share_of(self.prefix) / "previous_input/0")
        channels = tuple(known or config.conda.channels or ("conda-forge",))
        return Environment(channels=channels, names=(named,)), config

    def steps(self, box: OpenBox) -> str:
        """Activate the environment, and install what is pip's."""
        lines = [(resource("share") / "classic/activate.sh").read_text(encoding="utf-8")]
        file = self.named("env_file")
        if file and self.old is None and (pip := read(file, bases.arch(), locked=False).pip):
            wanted = box.tmp / "pip.txt"
            wanted.write_text("".join(f"{line}\n" for line in pip), encoding="utf-8")
            # What the file says counts from where it is.
            lines.append(indexes.installing(wanted, file.parent, self.config, box.remarks))
        if file := self.named("requirements_file"):
            lines.append(indexes.installing(file, self.workdir, self.config, box.remarks))
        return "".join(lines)

    def seal(self, box: Any) -> None:
        """Compile the byte code."""
        if os.path.lexists(box.real(".") / "bin/python"):
            seal(box, "new", box.prefix / "lib")


def _channels_of(folder: Path) -> tuple[str, ...]:
    """The channels that the environment file in a folder names, if there is one."""
    for file in sorted(folder.glob("*.y*ml")):
        with contextlib.suppress(TykkyError):
            if found := read(file, bases.arch(), locked=False).channels:
                return found
    return ()
