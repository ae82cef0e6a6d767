"""The files of a classic install that people and older tools look for.

Public name: ``write``.
"""

from __future__ import annotations

import os
import shlex
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.compat.job import copied
from tykky.errors import from_os_error, masked
from tykky.files import Permissions, make_folder, write_file
from tykky.store import HIDDEN

if TYPE_CHECKING:
    from tykky.compat.publishing import State

#: What only one call was told, and says nothing of the installation.
_OF_THE_CALL = ("log_level", "build_tmpdir_base", "workdir", "num_cpus", "max_num_cpus")


def write(state: State, folder: Path, permissions: Permissions) -> None:
    """Write them all into a folder that will become the prefix."""
    share = folder / "share"
    make_folder(share, permissions)
    write_file(share / "conf.yaml", _conf(state).encode(), permissions)
    write_file(share / "VERSION.yml", _version().encode(), permissions)
    write_file(folder / "common.sh", _common(state).encode(), permissions)
    _inputs(state, share / "previous_input", permissions)
    if state.image is not None:
        (folder / str(state.job.values["sqfs_image"])).symlink_to(f"{HIDDEN}/{state.image.file}")
    if not state.job.is_bound:
        (folder / "_bin").symlink_to(f"{HIDDEN}/{state.links}")
    _container(state, folder, permissions)
    _environment(state, folder, permissions)


def _conf(state: State) -> str:
    import yaml

    values: dict[str, Any] = {k: v for k, v in state.job.values.items() if k not in _OF_THE_CALL}
    values["mode"] = state.kind.mode
    for key in ("pre_install", "post_install"):
        if key in values:
            values[key] = [masked(i) if isinstance(i, str) else i for i in values[key]]
    values["installation_prefix"] = str(state.job.prefix)
    head = "# What this installation was made from. An update reads it; do not edit.\n"
    return head + yaml.safe_dump(values, allow_unicode=True)


def _version() -> str:
    import tykky

    built = time.strftime("%a %b %e %H:%M:%S UTC %Y", time.gmtime())
    return f"tag: {tykky.__version__}\ncommit: tykky-{tykky.__version__}\nbuild-time: {built}\n"


def _common(state: State) -> str:
    values = state.job.values
    lines = ["#!/bin/bash", "# What this installation is. Its commands do not read this."]
    if state.image is not None:
        lines.append(f"SQFS_IMAGE={shlex.quote(str(values['sqfs_image']))}")
    if state.base.name != "host":
        lines.append(f"CONTAINER_IMAGE={shlex.quote(str(values['container_image']))}")
    lines.append(f"INSTALLATION_PATH={shlex.quote(str(state.job.inside))}")
    return "\n".join([*lines, ""])


def _inputs(state: State, folder: Path, permissions: Permissions) -> None:
    """The user's files, under the next number."""
    before = state.job.prefix / "share/previous_input"
    is_new = state.job.old is None
    number = 0
    while not is_new and (before / str(number)).exists():
        number += 1
    target = folder / str(number)
    make_folder(target, permissions)
    for name, path in state.job.inputs.items():
        write_file(target / name, copied(path), permissions)


def _container(state: State, folder: Path, permissions: Permissions) -> None:
    """The container: a copy, a second name of the one in the cache, or a link if it is shared."""
    from tykky.bases import ImageBase

    base = state.base
    if not isinstance(base, ImageBase):
        return
    name = str(state.job.values["container_image"])
    source = base.file.path if base.file is not None else base.directory
    assert source is not None
    if source == state.job.prefix / name:
        return  # that of the installation that is updated
    target = folder / name
    if base.directory is not None or state.job.values.get("share_container"):
        target.symlink_to(source.absolute())
        return
    try:
        if source.parent.parent == state.job.config.bases_dir or (
            state.job.config.bases_dir in source.parents
        ):
            os.link(source, target)
            return
    except OSError:
        pass  # on another file system
    try:
        shutil.copyfile(source, target)
        permissions.apply(target)
    except OSError as error:
        raise from_os_error(error, f"copy the container {source}") from error


def _environment(state: State, folder: Path, permissions: Permissions) -> None:
    """What makes the prefix look like the environment in it: links that are whole inside."""
    library = state.library
    if not library or state.job.is_bound:
        return
    if state.kind.mode == "venv":
        # A file, for programs outside that look for Python environments.
        write_file(folder / "pyvenv.cfg", state.pyvenv, permissions)
        (folder / "lib64").symlink_to("lib")
    target = library if library.startswith("/") else f"{state.kind.root}/{library}"
    (folder / "lib").mkdir()
    (folder / "lib" / Path(library).name).symlink_to(target)
