"""The script of a classic install: what users give, in one bash with what is done between."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.compat.settings import SCRIPTS, TEXT
from tykky.errors import Exit, StepError
from tykky.resources import resource
from tykky.tools import complaints, indexes, process

if TYPE_CHECKING:
    from tykky.build.box import OpenBox
    from tykky.compat.classic import Classic

#: What git, ssh and gpg say who find no keys.
_NO_KEYS = re.compile(
    r"Permission denied \(publickey|Host key verification failed|no such identity|"
    r"authentication agent|No secret key|can't connect to the (gpg-)?agent",
    re.IGNORECASE,
)


def run(recipe: Classic, box: OpenBox, shown: bool) -> None:
    """Run the script; in its middle, what the kind does itself. Raises ``StepError``.

    What it prints is ``shown`` as it comes, or kept in the log only.
    """
    middle = None
    if recipe.creates and recipe.text("pre_install").strip():
        middle = process.Pause(box.tmp / "reached", box.tmp / "go", lambda: recipe.create(box))
    else:
        recipe.create(box)
    file = box.tmp / "install.sh"
    file.write_text(text(recipe, box, middle is not None), **TEXT)
    shell = ["/bin/bash" if box.base.which("/bin/bash") else "/bin/sh", str(file)]
    box.log.write(f"$ {shlex.join(shell)}\n".encode())
    box.log.flush()
    started = box.log.tell()
    show = box.show if shown else None
    line, variables = box.enclose(shell, box.environment())
    status = process.follow(line, variables, box.cwd, box.log, show=show, pause=middle)
    if status != 0:
        said = Path(str(box.log.name)).read_bytes()[started:].decode(errors="replace")
        error = process.failure("the installation script", status, said)
        with contextlib.suppress(OSError, ValueError):
            if int((box.tmp / "uv.status").read_text(**TEXT)):
                asked = recipe.named("requirements_file")
                output = (box.tmp / "uv.said").read_text(**TEXT)
                error = complaints.explain(output, indexes.addresses(recipe.config, asked))
        again = "correct the files that were given, then run the same command again"
        if recipe.config.classic_hides and _NO_KEYS.search(said):
            again = (
                "builds do not see your keys and their agents: get it by https, or let builds see "
                "them (and so all that is installed): tykky config set classic_hides []"
            )
        error.remedy = error.remedy or again
        raise error
    box.remarks += indexes.by_pip(box.tmp)
    if not (box.tmp / "installed").exists():
        cause = "the script of --pre-install ended everything before anything was installed"
        raise StepError(cause, remedy="take 'exit' out of it: it is sourced", code=Exit.BUILD)


def text(recipe: Classic, box: OpenBox, pause: bool) -> str:
    """The whole script. With ``pause`` it waits between the user's scripts for what is no command.

    The two scripts of the user are sourced, so that what the first sets is there for the second.
    """
    there = f"cd {shlex.quote(str(recipe.workdir))}\n"
    sourced = []
    for key in ("pre_install", "post_install"):
        path = box.tmp / f"{key}.sh"
        path.write_text(recipe.text(key), **TEXT)
        sourced.append(f". {shlex.quote(str(path))}\n")
    head = (resource("share") / "classic/install.sh").read_text(encoding="utf-8")
    parts = [head, *_variables(recipe, box.tmp), "set -e\n", there, sourced[0]]
    if pause:
        parts.append(': > "$CW_BUILD_TMPDIR/reached"\nread -r _ < "$CW_BUILD_TMPDIR/go"\n')
    parts += [there, recipe.steps(box), ': > "$CW_BUILD_TMPDIR/installed"\n', there, sourced[1]]
    return "".join(parts)


def _variables(recipe: Classic, tmp: Path) -> Iterator[str]:
    """The assignments of every ``CW_`` variable, and of those that have no such beginning."""
    values = {
        **recipe.values,
        "installation_path": str(recipe.inside),
        "installation_prefix": str(recipe.prefix),
        "workdir": str(recipe.workdir),
        # Not as in the environment of who calls: there, it names another directory.
        "build_tmpdir": str(tmp),
        "mode": recipe.kind,
    }
    exported = {"install_root": str(recipe.inside), "env_root": f"{recipe.root}/"}
    # For scripts that use containers: where there is room for them.
    for name in ("SINGULARITY", "APPTAINER"):
        exported[f"{name}_TMPDIR"] = str(tmp)
        exported[f"{name}_CACHEDIR"] = str(values["build_tmpdir_base"])
    for key, value in values.items():
        name = f"CW_{key.upper()}"
        if isinstance(value, list):
            if key not in SCRIPTS:  # which have dictionaries in them
                yield f"{name}=({shlex.join(map(str, value))})\n"
        else:
            exported[name] = ("no", "yes")[value] if isinstance(value, bool) else str(value)
    if recipe.is_environment:
        exported |= indexes.environment(recipe.config, bool(recipe.values.get("pipcache", True)))
    for name, value in exported.items():
        yield f"export {name}={shlex.quote(value)}\n"
