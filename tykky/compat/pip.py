"""``pip-containerize``: a Python environment made from a requirements file."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

from tykky.build.box import OpenBox
from tykky.compat.classic import Classic, warn
from tykky.compat.settings import Values
from tykky.errors import Exit, TykkyError
from tykky.kinds.pip import PipStack
from tykky.kinds.python import seal
from tykky.store import Place
from tykky.tools import indexes


class Pip(Classic, PipStack):
    """A virtual environment at ``env1``, of a Python of the host, of uv, or of an image."""

    kind = "venv"
    title = "Python environment"
    is_environment = True
    commands: tuple[str, ...] = ()  # type: ignore[assignment]

    @classmethod
    def meant(cls, values: Values, verb: str) -> Values:
        """Which Python is taken."""
        if verb != "new":
            return values
        found = {"use_uv": False, "pipcache": True, **values}
        version = found.get("pyver", "")
        if found.pop("slim", False):
            slim = re.search(r"(^|-)slim", version)
            tag = version if slim else f"{version}-slim".lstrip("-")
            found |= {"pyver": tag, "container_src": f"docker://python:{tag}", "isolate": True}
        elif found["use_uv"]:
            found["pyver"] = version or "3"
        elif found.pop("pyver", ""):
            warn("--pyver has no effect without --uv or --slim")
        return found

    @property
    def below(self) -> str:
        """The environment's name; an install that is bound to its place is the environment."""
        return "" if self.is_bound else str(self.values["env_name"])

    def examine(self) -> None:
        """See that there is a Python, and that it is one that can be used inside."""
        super().examine()
        if self.old is None:
            self._python()

    def _python(self) -> str:
        """What tells uv which Python to take, as words of a shell. Raises ``TykkyError``."""
        if self.values.get("use_uv"):
            version = self.values.get("pyver") or "3"
            return f"--managed-python --python {shlex.quote(version)}"
        if self.values["isolate"]:
            return '--python "$(command -v python3)"'
        if not (found := shutil.which("python3")):
            cause = "there is no python3 on PATH to make the environment with"
            remedy = "load a module that has one, or let uv bring one: --uv"
            raise TykkyError(cause, remedy=remedy, code=Exit.MISSING_TOOL)
        # Also that of a virtual environment on top of one: its base is not there inside.
        places = (Path(found).parent.parent, Path(found).resolve().parent.parent)
        if any((place / "common.sh").exists() or Place(place).current for place in places):
            cause = f"the first python3 on PATH is one of another installation: {found}"
            remedy = (
                "take that from PATH ('module unload', 'tykky deactivate'), or let uv bring one: "
                "--uv; packages on top of it are for 'python3 -m venv --system-site-packages DIR'"
            )
            raise TykkyError(cause, remedy=remedy, code=Exit.CONFLICT)
        return f"--python {shlex.quote(found)}"

    def steps(self, box: OpenBox) -> str:
        """Make the environment if it is not there, and install the requirements."""
        lines = ['PATH="$TYKKY_UV_FOLDER:$PATH"; export PATH\n']
        file = self.named("requirements_file")
        if self.old is None:
            options = "--no-config --quiet --seed --allow-existing"
            if self.values.get("enable_site_packages"):
                options += " --system-site-packages"
            if self.values.get("use_uv"):
                lines.append('export UV_PYTHON_INSTALL_DIR="${install_root}/uv/python"\n')
                lines.append("export UV_PYTHON_DOWNLOADS=automatic\n")
            index = indexes.asking(self.config, file)
            lines.append(f'{index}uv venv {options} {self._python()} "$env_root"\n')
        lines.append('. "${env_root}bin/activate"\n')
        if file:
            lines.append('print_info "Installing requirements file"\n')
            lines.append(indexes.installing(file, self.workdir, self.config, box.remarks))
        return "".join(lines)

    def seal(self, box: Any) -> None:
        """Compile the byte code; be a base for virtual environments on top."""
        seal(box, "base", box.prefix / "lib", self.inside / "uv")
