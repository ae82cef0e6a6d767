"""Which programs of the host are there, how new they are, and whether a stack starts with them."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from tykky.bases import host
from tykky.config import Config
from tykky.doctor import Finding
from tykky.doctor.places import existing, writable
from tykky.errors import TykkyError
from tykky.resources import resource
from tykky.runtime import base, native
from tykky.tools import overlay, squash
from tykky.tools.uv import program as uv_program

_LMOD = Path("/usr/share/lmod/lmod/libexec/lmod")


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


def server(config: Config) -> Finding:
    """The program that serves images."""
    if config.server and not os.access(config.server, os.X_OK):
        remedy = f"correct 'server' ({config.origin('server').place}), or leave it out"
        return "no", f"{config.server} cannot be executed", remedy
    try:
        path = overlay.find_server(config.server)
    except TykkyError as error:
        return "no", "is nowhere", error.remedy
    return "ok", f"{_version(_output(path, '--version'))} ({path})"


def apptainer(unprivileged: bool) -> Finding:
    """The other runtime; ``unprivileged`` tells whether this node lets everybody mount images."""
    path = shutil.which("apptainer") or shutil.which("singularity")
    if path is None:
        return "no", "is not on PATH", "only needed for stacks in containers"
    # It makes a folder in the home of whoever calls it, even for this.
    with tempfile.TemporaryDirectory(prefix="tykky-doctor-") as home:
        # "apptainer version 1.4.5-1", "singularity-ce version 4.1.0", perhaps after warnings.
        version = re.search(r"version (\d\S*)", _output(path, "--version", HOME=home))
        libexec = _output(path, "buildcfg", "LIBEXECDIR", HOME=home).strip()
    if version is None:
        return "no", f"{path} does not run", f"run '{path} --version' to see why"
    found = f"{version[1]} ({path})"
    starter = Path(libexec, Path(path).name, "bin", "starter-suid")
    if os.access(starter, os.F_OK) and starter.stat().st_mode & stat.S_ISUID:
        return "ok", f"{found}, setuid"
    if unprivileged:
        return "ok", f"{found}, with user namespaces"
    remedy = "ask the administrator for user namespaces, or for the package apptainer-suid"
    return "no", f"{found}, needs user namespaces", remedy


def mksquashfs(config: Config) -> Finding:
    """The program that makes images, and whether it can compress as is configured."""
    try:
        path = squash.program()
    except TykkyError as error:
        return "no", error.cause, error.remedy
    # Newer ones list the compressors in a help page of their own.
    text = _output(path, "-help") + _output(path, "-help-section", "compression")
    words = ("zstd", "gzip", "lz4", "xz")
    known = [word for word in words if re.search(rf"^\s*{word}\b", text, re.MULTILINE)]
    version, compressors = _version(_output(path, "-version")), ", ".join(known) or "nothing known"
    found = f"{version} ({path}), compresses with {compressors}"
    if config.squash.compression in known:
        return "ok", found
    remedy = f"set squash.compression to {' or '.join(known)}" if known else "install a newer one"
    return "no", f"{found}, not with {config.squash.compression}", remedy


def uv() -> Finding:
    """What installs Python packages."""
    try:
        path = uv_program()
    except TykkyError as error:
        return "no", error.cause, error.remedy
    return "ok", f"{_version(_output(path, '--version'))} ({path})"


def launcher() -> Finding:
    """The programs that come with Tykky, compiled if need be."""
    try:
        native.program("box")
        return "ok", str(native.program("launch"))
    except TykkyError as error:
        return "no", error.cause, error.remedy


def pythons() -> Finding:
    """What virtual environments on the host can be made of."""
    found = sorted(host().pythons(), key=lambda version: int(version.partition(".")[2]))
    if not found:
        remedy = "ask for a python3 package, or name a base that has Python"
        return "no", "no Python for stacks on this host", remedy
    return "ok", f"{', '.join(found)} for stacks on this host"


def lmod() -> Finding:
    """Whether modules can be loaded, and those that stacks have."""
    version = os.environ.get("LMOD_VERSION", "")
    if not version:
        command = os.environ.get("LMOD_CMD") or str(_LMOD)
        found = re.search(r"Version (\d\S*)", _output(command, "bash", "--version"))
        version = found[1] if found else ""
    if not version:
        remedy = "ask for Lmod; without it, run commands by their path or 'tykky activate'"
        return "no", "is not set up in this shell", remedy
    numbers = [int(number) for number in re.findall(r"\d+", version)[:2]]
    if numbers < [8, 6]:
        remedy = "ask for Lmod 8.6 or newer: modules of stacks are written for it"
        return "limited", f"{version} is older than 8.6", remedy
    return "ok", version


def shell() -> Finding:
    """Whether this shell knows ``tykky activate``."""
    share = resource("share")
    script = share / "setup-env.sh"
    if str(share / "bin") in os.environ.get("PATH", "").split(":"):
        return "ok", f"{script} is in use"
    return "limited", "is not in use", f"for 'tykky activate' and completion: . {script}"


def stack(config: Config, layers: int = 0) -> Finding:
    """A stack of nothing but one script, made and entered through the real launcher.

    It tells what no probe of a single part can: that the parts work together. Its failure comes
    in the launcher's own words. With ``layers``, as many lie on its image.
    """
    try:
        program = squash.program()
        with tempfile.TemporaryDirectory(prefix=".tykky-doctor-", dir=_place(config)) as folder:
            return _try(config, program, Path(folder), layers)
    except OSError as error:
        return "limited", f"not tried: {error.strerror}"
    except (TykkyError, subprocess.SubprocessError) as error:
        return "limited", f"not tried: {error}"


def _place(config: Config) -> Path:
    """Where stacks are, or where they are built, or where anything may be written."""
    places = map(existing, (config.root, config.build_dir))
    return next(filter(writable, places), Path(tempfile.gettempdir()))


def _try(config: Config, program: str, folder: Path, layers: int) -> Finding:
    tree, prefix = folder / "tree", folder / "prefix"
    script, command = tree / "bin" / "try", prefix / "bin" / "try"
    image = base.image_path(prefix, "image.sqfs")
    conf = base.conf_path(prefix, generation := "1")
    for path in (script, command, image, conf):
        path.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\necho entered\n")
    script.chmod(0o755)
    subprocess.run(
        [program, tree, image, "-no-progress", "-quiet", "-comp", config.squash.compression],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60,
    )
    servers = (Path(config.server),) if config.server else ()
    mount = base.ImageMount(image.name, image.stat().st_size, str(prefix))
    mounts = (mount, *[replace(mount, layer=True)] * layers)
    plan = base.LaunchPlan("trial", prefix, generation, mounts, servers=servers, idle=1)
    conf.write_text(base.render(plan))
    hidden = prefix / base.CONF_DIRECTORY
    (hidden / base.CURRENT).symlink_to(conf.parent.relative_to(hidden))
    shutil.copy(native.program("launch"), hidden / base.LAUNCHER_NAME)
    command.hardlink_to(hidden / base.LAUNCHER_NAME)
    done = subprocess.run([command], capture_output=True, text=True, errors="replace", timeout=60)
    if done.stdout == "entered\n":
        return "ok", "starts"
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    found = lines[0] if lines else f"ended with status {done.returncode}"
    if layers:
        return "limited", f"do not: {found}", "stacks with layers: 'tykky squash' makes one image"
    return "no", found, " ".join(lines[1:])
