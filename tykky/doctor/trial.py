"""A stack made of nothing but one script, entered through the real launcher.

It tells what no probe of a single part can: that the parts work together. Its failure comes in
the launcher's own words.

Public names: ``stack``.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tykky.config import Config
from tykky.doctor import Finding
from tykky.doctor.places import existing, writable
from tykky.errors import TykkyError
from tykky.runtime import base, native
from tykky.tools import squash

_WORD = "entered"


def stack(config: Config) -> Finding:
    """Whether a stack can be made, where the programs to make one are there, and started."""
    try:
        mksquashfs = squash.program()
        with tempfile.TemporaryDirectory(prefix=".tykky-doctor-", dir=_place(config)) as folder:
            return _try(config, mksquashfs, Path(folder))
    except OSError as error:
        return "limited", f"not tried: {error.strerror}"
    except (TykkyError, subprocess.SubprocessError) as error:
        return "limited", f"not tried: {error}"


def _place(config: Config) -> Path:
    """Where stacks are, or where they are built, or where anything may be written."""
    places = map(existing, (config.root, config.build_dir))
    return next(filter(writable, places), Path(tempfile.gettempdir()))


def _try(config: Config, mksquashfs: str, folder: Path) -> Finding:
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
        return "ok", "starts"
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    found = lines[0] if lines else f"ended with status {done.returncode}"
    return "no", found, " ".join(lines[1:])
