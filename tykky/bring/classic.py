"""Installs of the classic commands, of this Tykky and of earlier ones: what is in them by now.

Packages are told by the image, whatever scripts and updates have put there.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.bases.image import image_base
from tykky.bring import disk, images, prefix, venv
from tykky.bring.found import Found, Left
from tykky.bring.project import table
from tykky.errors import Exit, TykkyError
from tykky.text import load_yaml, read_text

if TYPE_CHECKING:
    from tykky.config import Config

_CONF = "share/conf.yaml"
#: What is read of an environment, from the image's top or from the environment's folder on.
_PYTHON = (
    *("pyvenv.cfg", "lib/python3*/site-packages/*.dist-info/METADATA"),
    *(
        f"lib/python3*/site-packages/*.dist-info/{name}"
        for name in ("REQUESTED", "RECORD", "INSTALLER")
    ),
    "lib/python3*/site-packages/*.dist-info/direct_url.json",
    "lib/python3*/site-packages/*.egg-info/PKG-INFO",
)
_CONDA = ("conda-meta/*", *_PYTHON[1:])


def is_one(path: Path) -> bool:
    """Whether a directory is an install of a classic command."""
    return (path / _CONF).is_file() and (path / "common.sh").is_file()


def read(path: Path, config: Config) -> Found:
    """The recipe of a classic install. Raises ``TykkyError``."""
    conf = path / _CONF
    values = table(load_yaml(read_text(conf), conf, TykkyError))
    mode = str(values.get("mode"))
    readers = {"venv": _environment, "conda": _environment}
    readers |= {"wrapcont": _container, "wrapdisk": _disk}
    if mode not in readers:
        cause = f"the install in {path} is of a kind '{mode}' that nobody knows"
        raise TykkyError(cause, remedy=f"look at {conf}", code=Exit.USAGE)
    found = readers[mode](path, values, config)
    about = f"What {path.absolute().name} was, an install of a classic command."
    return replace(found, about=about, left=(*found.left, *_scripts(values)))


def _is_on(values: Mapping[str, Any], key: str) -> bool:
    """Whether a switch is on, as any version of the commands has written it."""
    return str(values.get(key)).lower() in ("true", "yes", "on")


def _scripts(values: Mapping[str, Any]) -> tuple[Left, ...]:
    """What was run or set besides."""
    left = []
    for key in ("pre_install", "post_install", "extra_envs"):
        for item in values.get(key) or ():
            shown = (
                item.get("file") or f"{item.get('name')}={item.get('value')}"
                if isinstance(item, dict)
                else str(item)
            )
            why = "what a script does is not carried over: have 'finish' do it"
            if key == "extra_envs":
                why = "write it into 'env', if the stack needs it"
            left.append(Left(f"{key}: {shown}", why, _CONF))
    return tuple(left)


def _environment(path: Path, values: Mapping[str, Any], config: Config) -> Found:
    """The recipe of the packages in the image of an environment."""
    image = path / str(values.get("sqfs_image") or "img.sqfs")
    base = image_base(str(image), "", image, {})
    is_conda = values.get("mode") == "conda"
    marker = "conda-meta" if is_conda else "pyvenv.cfg"
    tops = [p.rpartition("/")[0] for p in base.listing.kinds if p.endswith(f"/{marker}")]
    name = str(values.get("env_name") or "env1")
    top = next((p for p in tops if p.endswith(f"/{name}")), min(tops, key=len, default=None))
    if top is None:
        cause = f"there is no environment in {image}"
        raise TykkyError(cause, remedy="was it made by a classic command?", code=Exit.DAMAGED)
    patterns = [f"{top}/{each}" for each in (_CONDA if is_conda else _PYTHON)]
    with base.files(*patterns) as files, tempfile.TemporaryDirectory(prefix="tykky-") as folder:
        # Named as the install is, since that is how it is spoken of.
        copied = Path(folder, re.sub(r"[^\w.-]", "-", path.absolute().name) or "environment")
        for inside, file in files.items():
            target = copied / inside[len(top) :].lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
        found = prefix.read(copied, config) if is_conda else venv.read(copied, config)
    if (
        _is_on(values, "isolate")
        and (source := str(values.get("container_src") or "auto")) != "auto"
    ):
        kept = path / str(values.get("container_image") or "container.sif")
        base_is = source if ":" in source else str(kept.resolve()) if kept.exists() else source
        found = replace(found, fields={**found.fields, "base": base_is})
    return found


def _container(path: Path, values: Mapping[str, Any], config: Config) -> Found:
    """The recipe of a wrapped container: the same programs of the same image."""
    source = str(values.get("container_src") or "")
    kept = path / str(values.get("container_image") or "container.sif")
    commands = [str(each) for each in values.get("wrapper_paths") or ()]
    if re.match(r"(docker|oras)://", source):
        return images.of_reference(source, config, commands)
    found = images.of_reference(str(kept.absolute()), config, commands)
    why = "the recipe needs it there: keep the install, or copy the image and correct 'image'"
    return replace(found, left=(*found.left, Left(str(kept.absolute()), why)))


def _disk(path: Path, values: Mapping[str, Any], config: Config) -> Found:
    """The recipe of a wrapped installation, if that is still there."""
    source = Path(str(values.get("wrap_src") or ""))
    if not source.is_dir():
        cause = f"the directory {source} that {path} was made of is not there any more"
        remedy = "bring it back, or copy what is in the install, and name that: --from DIR"
        raise TykkyError(cause, remedy=remedy, code=Exit.NOT_FOUND)
    found = disk.read(source, config)
    wrapped = [str(each) for each in values.get("wrapper_paths") or ()]
    commands = tuple(f"{each}/" if (source / each).is_dir() else each for each in wrapped)
    fields = {**found.fields, "mask": _is_on(values, "mask_wrap_install")}
    if commands and commands != ("bin/",):
        fields["commands"] = commands
    return replace(found, fields={k: v for k, v in fields.items() if v is not False})
