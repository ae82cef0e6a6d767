"""A stack made of nothing but one script, entered through the real launcher.

It tells what no probe of a single part can: that the parts work together. Its failure comes in
the launcher's own words.

Public names: ``probes``.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tykky.config import Config
from tykky.doctor.places import existing, writable
from tykky.doctor.probe import Probe
from tykky.errors import TykkyError

_NAME = "a stack on trial"
_WORD = "entered"


def probes(config: Config) -> Iterator[Probe]:
    """One probe, where the programs to make a stack are there."""
    mksquashfs = shutil.which("mksquashfs") or shutil.which("mksquashfs", path="/usr/sbin:/sbin")
    if mksquashfs is None:
        yield Probe(_NAME, "run", "limited", "not tried: that needs mksquashfs")
        return
    try:
        with tempfile.TemporaryDirectory(prefix=".tykky-doctor-", dir=_place(config)) as folder:
            yield _try(config, mksquashfs, Path(folder))
    except OSError as error:
        yield Probe(_NAME, "run", "limited", f"not tried: {error.strerror}")
    except (TykkyError, subprocess.SubprocessError) as error:
        yield Probe(_NAME, "run", "limited", f"not tried: {error}")


def _place(config: Config) -> Path:
    """Where stacks are, or where they are built, or where anything may be written."""
    for path in (config.root, config.build_dir):
        if writable(place := existing(path)):
            return place
    return Path(tempfile.gettempdir())


def _try(config: Config, mksquashfs: str, folder: Path) -> Probe:
    from tykky.runtime import base, native

    tree, prefix = folder / "tree", folder / "prefix"
    script, command = tree / "bin" / "try", prefix / "bin" / "try"
    image = base.image_path(prefix, "image.sqfs")
    conf = base.conf_path(prefix, generation := "1")
    for path in (script, command, image, conf):
        path.parent.mkdir(parents=True)
    script.write_text(f"#!/bin/sh\necho {_WORD}\n")
    script.chmod(0o755)
    subprocess.run(
        [mksquashfs, tree, image, "-no-progress", "-quiet", "-comp", config.squash.compression],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60,
    )
    servers = (Path(config.server),) if config.server else ()
    mount = base.ImageMount(image.name, image.stat().st_size, str(prefix))
    plan = base.LaunchPlan("trial", prefix, generation, (mount,), servers=servers, idle=1)
    conf.write_text(base.render(plan))
    hidden = prefix / base.CONF_DIRECTORY
    (hidden / base.CURRENT).symlink_to(conf.parent.relative_to(hidden))
    shutil.copy(native.program("launch"), hidden / base.LAUNCHER_NAME)
    command.hardlink_to(hidden / base.LAUNCHER_NAME)
    done = subprocess.run([command], capture_output=True, text=True, errors="replace", timeout=60)
    if done.stdout == f"{_WORD}\n":
        return Probe(_NAME, "run", "ok", "starts")
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    found = lines[0] if lines else f"ended with status {done.returncode}"
    return Probe(_NAME, "run", "no", found, " ".join(lines[1:]))
