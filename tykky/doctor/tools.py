"""Which programs of the host are there, how new they are, and what they can do.

Public names: ``probes``.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tykky.config import Config
from tykky.doctor.probe import Probe
from tykky.errors import TykkyError

# Where the launcher looks for an image server before PATH.
_SERVER_PLACES = (
    "/usr/bin",
    "/usr/local/bin",
    "/usr/libexec/apptainer/bin",
    "/usr/local/libexec/apptainer/bin",
    "/usr/lib/x86_64-linux-gnu/apptainer/bin",
    "/usr/lib/aarch64-linux-gnu/apptainer/bin",
)
_LMOD = Path("/usr/share/lmod/lmod/libexec/lmod")


def probes(config: Config, *, unprivileged: bool) -> Iterator[Probe]:
    """The image server, Apptainer, mksquashfs, uv, the launcher, Pythons, Lmod and the shell.

    ``unprivileged`` tells whether this node lets a program without privileges mount images.
    """
    yield _server(config)
    yield _apptainer(unprivileged)
    yield _mksquashfs(config)
    yield _uv()
    yield _launcher()
    yield _pythons()
    yield _lmod()
    yield _shell()


def _output(*command: str, **variables: str) -> str:
    """What a program prints on both streams; empty if it cannot be run."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=20,
            env={**os.environ, "LC_ALL": "C", **variables},
            errors="replace",
            text=True,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _version(text: str) -> str:
    found = re.search(r"\d+\.\d+(?:\.\d+)*", text)
    return found[0] if found else "of unknown version"


def _server(config: Config) -> Probe:
    name = "squashfuse_ll"
    if config.server:
        path: str | None = config.server if os.access(config.server, os.X_OK) else None
        if path is None:
            place = config.origin("server").place
            remedy = f"correct 'server' ({place}), or leave it out"
            return Probe(name, "run", "no", f"{config.server} cannot be executed", remedy)
    else:
        path = shutil.which(name, path=os.pathsep.join(_SERVER_PLACES)) or shutil.which(name)
    if path is None:
        remedy = "ask the administrator to install the package squashfuse (or apptainer, with one)"
        return Probe(name, "run", "no", "is nowhere", remedy)
    return Probe(name, "run", "ok", f"{_version(_output(path, '--version'))} ({path})")


def _apptainer(unprivileged: bool) -> Probe:
    name = "apptainer"
    path = shutil.which("apptainer") or shutil.which("singularity")
    if path is None:
        remedy = "only needed for stacks in containers"
        return Probe(name, "apptainer", "no", "is not on PATH", remedy)
    # It makes a folder in the home of whoever calls it, even for this.
    with tempfile.TemporaryDirectory(prefix="tykky-doctor-") as home:
        # "apptainer version 1.4.5-1", "singularity-ce version 4.1.0", perhaps after warnings.
        version = re.search(r"version (\d\S*)", _output(path, "--version", HOME=home))
        libexec = _output(path, "buildcfg", "LIBEXECDIR", HOME=home).strip()
    if version is None:
        remedy = f"run '{path} --version' to see why"
        return Probe(name, "apptainer", "no", f"{path} does not run", remedy)
    found = f"{version[1]} ({path})"
    if _is_setuid(Path(libexec, Path(path).name, "bin", "starter-suid")):
        return Probe(name, "apptainer", "ok", f"{found}, setuid")
    if unprivileged:
        return Probe(name, "apptainer", "ok", f"{found}, with user namespaces")
    remedy = "ask the administrator for user namespaces, or for the package apptainer-suid"
    return Probe(name, "apptainer", "no", f"{found}, needs user namespaces", remedy)


def _is_setuid(program: Path) -> bool:
    try:
        return bool(program.stat().st_mode & stat.S_ISUID)
    except OSError:
        return False


def _mksquashfs(config: Config) -> Probe:
    name, wanted = "mksquashfs", config.squash.compression
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        remedy = "ask for the package squashfs-tools, or install stacks on a node that has it"
        return Probe(name, "install", "no", "is not on PATH", remedy)
    version = _version(_output(path, "-version"))
    # Newer ones list the compressors in a help page of their own.
    text = _output(path, "-help") + _output(path, "-help-section", "compression")
    words = ("zstd", "gzip", "lz4", "xz")
    known = [word for word in words if re.search(rf"^\s*{word}\b", text, re.MULTILINE)]
    found = f"{version} ({path}), compresses with {', '.join(known) or 'nothing known'}"
    if wanted in known:
        return Probe(name, "install", "ok", found)
    others = [word for word in known if word in ("gzip", "lz4", "xz")]
    remedy = f"set squash.compression to {' or '.join(others)}" if others else "install a newer one"
    return Probe(name, "install", "no", f"{found}, not with {wanted}", remedy)


def _uv() -> Probe:
    from tykky.tools import uv

    try:
        path = uv.program()
    except TykkyError as error:
        return Probe("uv", "install", "no", error.cause, error.remedy)
    return Probe("uv", "install", "ok", f"{_version(_output(path, '--version'))} ({path})")


def _launcher() -> Probe:
    from tykky.runtime import native

    try:
        path = native.program("launch")
        native.program("box")
    except TykkyError as error:
        return Probe("launcher", "install", "no", error.cause, error.remedy)
    return Probe("launcher", "install", "ok", str(path))


def _pythons() -> Probe:
    from tykky.bases import host

    found = host().pythons()
    if not found:
        remedy = "ask for a python3 package, or name a base that has Python"
        return Probe("python", "install", "no", "no Python for stacks on this host", remedy)
    versions = sorted(found, key=lambda version: int(version.partition(".")[2]))
    return Probe("python", "install", "ok", f"{', '.join(versions)} for stacks on this host")


def _lmod() -> Probe:
    name = "Lmod"
    version = os.environ.get("LMOD_VERSION", "")
    if not version:
        command = os.environ.get("LMOD_CMD") or str(_LMOD)
        found = re.search(r"Version (\d\S*)", _output(command, "bash", "--version"))
        version = found[1] if found else ""
    if not version:
        remedy = "ask for Lmod; without it, run commands by their path or 'tykky activate'"
        return Probe(name, "modules", "no", "is not set up in this shell", remedy)
    numbers = [int(number) for number in re.findall(r"\d+", version)[:2]]
    if numbers < [8, 6]:
        remedy = "ask for Lmod 8.6 or newer: modules of stacks are written for it"
        return Probe(name, "modules", "limited", f"{version} is older than 8.6", remedy)
    return Probe(name, "modules", "ok", version)


def _shell() -> Probe:
    from tykky.resources import resource

    name, share = "setup-env.sh", resource("share")
    if str(share / "bin") in os.environ.get("PATH", "").split(":"):
        return Probe(name, "shell", "ok", f"{share / name} is in use")
    remedy = f"for 'tykky activate' and completion: . {share / name}"
    return Probe(name, "shell", "limited", "is not in use", remedy)
