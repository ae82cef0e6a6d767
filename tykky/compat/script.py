"""The script of a classic install: what users give, in one bash with what has to be done between.

Public names: ``text``, ``variables``, ``run``.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tykky.errors import Exit, StepError
from tykky.tools import process

if TYPE_CHECKING:
    from tykky.build.box import OpenBox
    from tykky.compat.classic import Classic
    from tykky.compat.job import Job

Show = Callable[[str], None]

_HEAD = r"""#!/bin/bash
print_info() { printf '[ INFO ] %s\n' "$1"; }
print_warn() { printf '[ WARNING ] %s\n' "$1"; }
print_err() { printf '[ ERROR ] %s\n' "$1"; }
"""

#: What the classic scripts were never given, since bash has no arrays in its environment.
_OWN = ("pre_install", "post_install", "extra_envs")


def variables(job: Job, kind: Classic, tmp: Path) -> str:
    """The assignments of every ``CW_`` variable, and of the two that have no such beginning."""
    values = {
        **job.values,
        "installation_path": str(job.inside),
        "installation_prefix": str(job.prefix),
        "workdir": str(job.workdir),
        "build_tmpdir": str(tmp),
        "mode": kind.kind,
    }
    lines = []
    for key, value in values.items():
        name = f"CW_{key.upper()}"
        if key in _OWN:
            continue
        if isinstance(value, list):
            lines.append(f"{name}=({shlex.join(map(str, value))})")
        else:
            shown = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
            lines.append(f"export {name}={shlex.quote(shown)}")
    # Not as in the environment of who calls: there, it names another directory.
    lines.append(f"export CW_BUILD_TMPDIR={shlex.quote(str(tmp))}")
    # For scripts that use containers: where there is room for them.
    for name in ("SINGULARITY", "APPTAINER"):
        lines.append(f"export {name}_TMPDIR={shlex.quote(str(tmp))}")
        cache = shlex.quote(str(values["build_tmpdir_base"]))
        lines.append(f"export {name}_CACHEDIR={cache}")
    lines.append(f"export install_root={shlex.quote(str(job.inside))}")
    lines.append(f"export env_root={shlex.quote(f'{kind.root}/')}")
    return "\n".join([*lines, ""])


def text(job: Job, kind: Classic, box: OpenBox, pause: bool) -> str:
    """The whole script. With ``pause`` it waits between the user's scripts for what is no command.

    The two scripts of the user are sourced, so that what the first sets is there for the second.
    """
    tmp = box.tmp
    pre, post = tmp / "pre_install.sh", tmp / "post_install.sh"
    errors = "surrogateescape"
    pre.write_text(job.text("pre_install"), encoding="utf-8", errors=errors)
    post.write_text(job.text("post_install"), encoding="utf-8", errors=errors)
    there = f"cd {shlex.quote(str(job.workdir))}"
    parts = [_HEAD, variables(job, kind, tmp)]
    for name, value in kind.script_variables(box).items():
        parts.append(f"export {name}={shlex.quote(value)}\n")
    parts += ["set -e\n", f"{there}\n", f". {shlex.quote(str(pre))}\n"]
    if pause:
        go = shlex.quote(str(tmp / "go"))
        parts.append(f": > {shlex.quote(str(tmp / 'reached'))}\nread -r _ < {go}\n")
    parts += [f"{there}\n", kind.steps(), f": > {shlex.quote(str(tmp / 'installed'))}\n"]
    parts += [f"{there}\n", f". {shlex.quote(str(post))}\n"]
    return "".join(parts)


def run(job: Job, kind: Classic, box: OpenBox, shown: bool) -> None:
    """Run the script; in its middle, what the kind does itself. Raises ``StepError``.

    What it prints is ``shown`` as it comes, or kept in the log only.
    """
    show = box.show if shown else None
    pause = bool(job.text("pre_install").strip()) and kind.creates
    if not pause:
        kind.create(box)
    file = box.tmp / "install.sh"
    file.write_text(text(job, kind, box, pause), encoding="utf-8", errors="surrogateescape")
    if pause:
        os.mkfifo(box.tmp / "go")
    shell = ["/bin/bash" if box.base.which("/bin/bash") else "/bin/sh", str(file)]
    box.log.write(f"$ {shlex.join(shell)}\n".encode())
    box.log.flush()
    started = box.log.tell()
    middle = (lambda: kind.create(box)) if pause else None
    status = _follow(box, box.enclose(shell, {}), box.environment(), middle, show)
    if status != 0:
        raise _failure(job, box, status, started)
    if not (box.tmp / "installed").exists():
        raise StepError(
            "the script of --pre-install ended everything before anything was installed",
            remedy="take 'exit' out of it: it is sourced",
            code=Exit.BUILD,
        )


def _follow(
    box: OpenBox,
    argv: list[str],
    env: Mapping[str, str],
    middle: Callable[[], None] | None,
    show: Show | None,
) -> int:
    """Run the script and wait for it. Its output goes straight into the log, if nobody looks."""
    log = box.log
    go = -1
    output = subprocess.PIPE if show else log.fileno()
    child = subprocess.Popen(
        argv,
        env=dict(env),
        cwd=box.cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if show else output,
    )
    reader = _start_reader(child, log, show)
    try:
        while middle is not None and child.poll() is None:
            if (box.tmp / "reached").exists():
                middle()
                # For reading as well, since opening would wait for a shell that may be gone.
                go = os.open(box.tmp / "go", os.O_RDWR | os.O_CLOEXEC)
                os.write(go, b"\n")
                middle = None
            else:
                time.sleep(0.02)
        status = child.wait()
        if reader is not None:
            reader.join(timeout=2)  # what the script has left running may keep the pipe open
        log.seek(0, os.SEEK_END)
        return status
    except BaseException:
        child.terminate()
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        log.seek(0, os.SEEK_END)
        raise
    finally:
        if go >= 0:
            os.close(go)


def _start_reader(
    child: subprocess.Popen[bytes], log: BinaryIO, show: Show | None
) -> threading.Thread | None:
    """A thread that passes on what is printed, to the log and to whoever looks."""
    stream = child.stdout
    if stream is None or show is None:
        return None

    def pass_on() -> None:
        with stream:
            for line in stream:
                log.write(line)
                show(line.decode(errors="replace").rstrip("\r\n").rpartition("\r")[2])

    thread = threading.Thread(target=pass_on, daemon=True)
    thread.start()
    return thread


def _failure(job: Job, box: OpenBox, status: int, started: int) -> Exception:
    path = Path(str(box.log.name))
    with path.open("rb") as stream:
        stream.seek(started)
        said = stream.read().decode(errors="replace")
    error = process.failure("the installation script", status, said)
    if isinstance(error, StepError) and not error.remedy:
        error.remedy = "correct the files that were given, then run the same command again"
    return error
