"""``conda-containerize``: a conda environment made from an environment file.

Public names: ``main``, ``Conda``.
"""

from __future__ import annotations

import argparse
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky import bases
from tykky.compat import front
from tykky.compat.classic import Classic
from tykky.compat.job import read, warn
from tykky.compat.settings import Values
from tykky.errors import Exit, TykkyError
from tykky.kinds.conda import CondaStack
from tykky.kinds.python import check_prefix, compile_new

if TYPE_CHECKING:
    from tykky.build.box import Box, OpenBox
    from tykky.conda.environment import Environment
    from tykky.config import Config
    from tykky.fetch import Say
    from tykky.lock import Lock

#: Commands of the script: what ``conda activate`` does, and a ``conda`` that may be told to.
_ACTIVATE = r"""
conda() { case "$1" in activate | deactivate) ;; *) command conda "$@" ;; esac; }
mamba() { case "$1" in activate | deactivate) ;; *) command mamba "$@" ;; esac; }
export CONDA_PREFIX="${env_root%/}" CONDA_DEFAULT_ENV="$CW_ENV_NAME" CONDA_SHLVL=1
export PATH="$TYKKY_TOOLS:${env_root}bin:$TYKKY_UV_FOLDER:$PATH"
for tykky_script in "${env_root}"etc/conda/activate.d/*.sh; do
    [ ! -f "$tykky_script" ] || . "$tykky_script"
done
"""


class Conda(Classic, CondaStack):
    """A conda environment at ``miniforge/envs/env1``, made without Miniforge."""

    kind = "conda"
    title = "conda environment"
    creates = True
    commands: tuple[str, ...] = ()  # type: ignore[assignment]
    _file: Path
    _pip: tuple[str, ...] = ()
    _wishes: tuple[Environment, Config]

    @property
    def below(self) -> str:
        """Where Miniforge would have it; an install that is bound to its place is the environment.

        An installation from before Miniforge has it where Miniconda had it.
        """
        if self.job.is_bound:
            return ""
        return f"miniforge/envs/{self.job.values['env_name']}"

    def examine(self) -> None:
        """Refuse a path that no script could name, and files that are not there."""
        check_prefix(self.root, "bin/python3.12")
        if self.job.verb == "new" and not self.job.values.get("env_file"):
            raise TykkyError(
                "nothing says what the environment consists of",
                remedy="name its file: 'env_file: environment.yml'",
                code=Exit.CONFIG,
            )
        for key in ("env_file", "requirements_file"):
            self.job.file(key)

    # -- as the kind of recipes asks ----------------------------------------------------

    @property
    def environment(self) -> str:  # type: ignore[override]
        """The user's file, without what is pip's."""
        return str(self._file)

    def beside(self, name: str) -> Path:
        """The same as a path."""
        return Path(name)

    def settle(self, say: Say) -> Lock:
        """Solve the environment; what is pip's is left to pip."""
        from tykky.build.plan import fresh_lock

        file = self.job.file("env_file")
        if self.job.verb != "new" or file is None:
            return super().settle(say)
        say("solving the environment")
        with tempfile.TemporaryDirectory(prefix="tykky-") as folder:
            self._file = file
            if file.suffix in (".yml", ".yaml"):
                text, self._pip = _without_pip(file)
                self._file = Path(folder, "environment.yml")
                self._file.write_text(text, encoding="utf-8")
            self._wishes = CondaStack._wanted(self, self.job.config, bases.arch())
            return fresh_lock(self, self.job.config, bases.arch())

    def _wanted(self, config: Config, arch: str) -> tuple[Environment, Config]:
        """What the file says, which is read only once."""
        return self._wishes

    def create(self, box: OpenBox) -> None:
        """Install the packages, and give the scripts a ``conda``."""
        box.scratch.root.mkdir(parents=True, exist_ok=True)
        if self.job.verb == "new":
            CondaStack.assemble(self, box)
        self._equip(box)

    def assemble(self, box: Box) -> None:
        """Run the scripts, and not only what the kind of recipes does."""
        Classic.assemble(self, box)

    def equip(self, box: Box) -> None:
        """It was done before the scripts ran."""

    def _equip(self, box: OpenBox) -> None:
        from tykky.conda.channels import honoured
        from tykky.conda.equip import equip

        config, name = honoured(self.job.config), str(self.job.values["env_name"])
        channels, folder = self._channels(), box.tmp / "tools"
        equip(box, config, channels=channels, names=[name], folder=folder)

    def _channels(self) -> tuple[str, ...]:
        old = self.job.old
        if old is not None and old.state.get("channels"):
            return tuple(old.state["channels"])
        if old is not None and (named := _channels_of(old.prefix / "share/previous_input/0")):
            return named
        if old is None and self._wishes[0].channels:
            return self._wishes[0].channels
        return tuple(self.job.config.conda.channels) or ("conda-forge",)

    def script_variables(self, box: OpenBox) -> Mapping[str, str]:
        """Where the tools are, and packages of pip come from."""
        from tykky.compat import index

        found = index.environment(self.job.config, bool(self.job.values.get("pipcache", True)))
        return {**found, "TYKKY_TOOLS": str(box.tmp / "tools")}

    def steps(self) -> str:
        """Activate the environment, and install what is pip's."""
        from tykky.compat import index

        lines = [_ACTIVATE, index.INSTALL]
        if self._pip:
            wanted = "\n".join(self._pip)
            lines.append(f"printf '%s\\n' {shlex.quote(wanted)} > \"$CW_BUILD_TMPDIR/pip.txt\"\n")
            file = self.job.file("env_file")
            assert file is not None
            # What the file says counts from where it is.
            lines.append(f"cd {shlex.quote(str(file.parent))}\n")
            install = index.command(self._pip, file.parent)
            lines.append(f'{install} -r "$CW_BUILD_TMPDIR/pip.txt"\n')
        if (file := self.job.file("requirements_file")) is not None:
            lines.append(f"cd {shlex.quote(str(self.job.workdir))}\n")
            install = index.command(read(file).splitlines(), file.parent)
            lines.append(f"{install} -r {shlex.quote(str(file))}\n")
        return "".join(lines)

    def seal(self, box: Any) -> None:
        """Compile the byte code."""
        if (box.real(".") / "bin/python").exists():
            compile_new(box)

    def wrapped(self) -> list[str]:
        """The environment's programs."""
        return [f"{self.root}/bin"]

    def library(self, box: OpenBox) -> str:
        """The library that virtual environments on top are based on."""
        found = [p for p in sorted(box.real(".").glob("lib/python3.*")) if not p.is_symlink()]
        return f"lib/{found[0].name}" if found else ""

    def state(self) -> dict[str, Any]:
        """The channels."""
        from tykky.conda.channels import public

        return {"channels": [public(channel) for channel in self._channels()]}


def _channels_of(folder: Path) -> tuple[str, ...]:
    """The channels that the environment file in a folder names, if there is one."""
    import yaml

    for file in sorted(folder.glob("*.y*ml")):
        try:
            data = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue
        named = data.get("channels") if isinstance(data, dict) else None
        if isinstance(named, list):
            return tuple(str(name) for name in named if name)
    return ()


def _without_pip(file: Path) -> tuple[str, tuple[str, ...]]:
    """An environment file without what is pip's, and that, line by line."""
    import yaml

    text = file.read_text(encoding="utf-8")
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        return text, ()  # whoever reads the rest says what is wrong
    dependencies = data.get("dependencies") if isinstance(data, dict) else None
    if not isinstance(dependencies, list):
        return text, ()
    pip: list[str] = []
    kept = []
    for item in dependencies:
        if isinstance(item, dict) and isinstance(item.get("pip"), list):
            pip += map(str, item["pip"])
        else:
            kept.append(item)
    if not pip:
        return text, ()
    if not any(isinstance(item, str) and item.split("=")[0].strip() == "pip" for item in kept):
        kept.append("pip")
    return yaml.safe_dump({**data, "dependencies": kept}), tuple(pip)


def main(argv: Sequence[str] | None = None) -> int:
    """The program."""
    return front.main("conda-containerize", __doc__, _arguments, _values, Conda, argv)


def _arguments(parser: argparse.ArgumentParser) -> None:
    verbs = front.verbs(parser)
    new = front.add_new(verbs, "env_file", "environment.yml, or a list of packages")
    new.add_argument("--mamba", action="store_true", help="accepted: every solve is as fast")
    new.add_argument("--uv", action="store_true", help="accepted: pip's packages are uv's anyway")
    update = front.add_update(verbs)
    for each in (new, update):
        each.add_argument("--nocache", action="store_true", help="use no cache of pip or uv")
        each.add_argument("-r", "--requirement", metavar="FILE", help="requirements file for pip")
        front.add_scripts(each)
    front.add_advanced(verbs)


def _values(args: argparse.Namespace) -> Values:
    values: dict[str, Any] = {"mode": "conda", "add_ld": False}
    if args.command == "advanced":
        return values
    if args.requirement:
        values["requirements_file"] = args.requirement
    if args.nocache or args.command == "new":
        values["pipcache"] = not args.nocache
    if args.command != "new":
        return values
    values |= {"env_file": args.env_file, "mamba": args.mamba, "use_uv": args.uv and args.mamba}
    if args.uv and not args.mamba:
        warn("--uv has no effect without --mamba")
    return values
