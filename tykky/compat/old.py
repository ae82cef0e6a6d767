"""Installations that are there already: ours, and those of earlier versions of the commands.

Public names: ``Old``, ``find``, ``inherit``, ``kept``, ``retire``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.compat import settings, wrapping
from tykky.compat.layout import STATE
from tykky.compat.settings import Values
from tykky.errors import Exit, StoreError, TykkyError
from tykky.store import NewerFormat, Place

if TYPE_CHECKING:
    from tykky.compat.classic import Classic

#: What stays as it is, whatever the site's configuration says by now.
_KEPT = (
    *("installation_path", "env_name", "isolate", "container_src", "container_image"),
    *("sqfs_image", "share_container", "mask_wrap_install", "wrap_src", "mount_points"),
)
#: What an update takes over unless it is asked for something else.
_INHERITED = ("mamba", "use_uv", "pipcache", "pyver", "add_ld", "wrap_all", "enable_site_packages")
#: What ends the part of common.sh that is not the user's.
_BEFORE_ENVIRON = re.compile(r"^export (?:env_root|install_root)=.*\n", re.MULTILINE)


@dataclass(frozen=True)
class Old:
    """The installation that is updated.

    ``image`` is its squashfs, which counts from the path inside; ``environ`` what it runs before
    each command, and ``ours`` tells whether this Tykky made it. ``state`` is what its kind needs.
    """

    prefix: Path
    values: Values
    image: Path
    environ: str
    ours: bool
    state: Mapping[str, Any] = field(default_factory=dict)


def find(prefix: Path, kind: type[Classic]) -> Old:
    """The installation in a directory. Raises ``TykkyError`` if it cannot be updated."""
    prefix = prefix.expanduser().resolve()
    conf = prefix / "share/conf.yaml"
    if not conf.is_file():
        raise TykkyError(
            f"there is no installation in {prefix}",
            remedy="give the directory that has 'bin' and 'share/conf.yaml' in it",
            code=Exit.NOT_FOUND,
        )
    values = _values(conf)
    if values.get("mode") != kind.kind:
        makers = {"conda": "conda-containerize", "venv": "pip-containerize"}
        maker = makers.get(str(values.get("mode")))
        raise TykkyError(
            f"the installation in {prefix} is of another kind",
            remedy=f"use '{maker} update'" if maker else "make it anew: what is wrapped stays so",
            code=Exit.CONFLICT,
        )
    place = Place(prefix)
    if place.current:
        place.check_formats()
        data = _state(place.generation() / STATE)
        (image,) = place.record().images
        old = Old(prefix, values, place.images / image["file"], data["environ"], True, data)
    else:
        old = Old(prefix, values, prefix / values["sqfs_image"], _environ(prefix), False)
    if not old.image.is_file():
        raise StoreError(
            f"the image of the installation is missing: {old.image}",
            remedy="make the installation anew",
            code=Exit.DAMAGED,
        )
    return old


def _values(conf: Path) -> Values:
    import yaml

    try:
        data = yaml.safe_load(conf.read_text(encoding="utf-8"))
        # The keys of every version that ever was: what is not known any more says nothing.
        known = set(settings.KNOWN) - set(settings.NO_EFFECT)
        values = {key: value for key, value in data.items() if key in known}
        found = settings.checked(values, conf)
        found.setdefault("sqfs_image", "img.sqfs")
        found.setdefault("container_image", "container.sif")
        found.setdefault("env_name", "env1")
        if not str(found["installation_path"]).startswith("/") and (
            found["installation_path"] != "prefix"
        ):
            raise ValueError("installation_path is not absolute")
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, AttributeError, ValueError) as e:
        raise StoreError(
            f"{conf} cannot be understood: {e}",
            remedy="make the installation anew",
            code=Exit.DAMAGED,
        ) from None
    return found


def _state(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] > 1:
            raise NewerFormat(path, data["format"])
        assert isinstance(data, dict)
        return {"environ": "", **data}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} is damaged: {error}",
            remedy="make the installation anew",
            code=Exit.DAMAGED,
        ) from None


def _environ(prefix: Path) -> str:
    """What ``--environ`` once gave, from the end of the file that the old commands source."""
    try:
        text = (prefix / "common.sh").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    ends = [match.end() for match in _BEFORE_ENVIRON.finditer(text)]
    return text[ends[-1] :] if ends else ""


def inherit(old: Old, user: Values) -> Values:
    """What the user wants of an update, and what is taken over from the installation."""
    found = {key: old.values[key] for key in (*_KEPT, *_INHERITED) if key in old.values}
    paths = [*old.values.get("wrapper_paths", []), *user.get("wrapper_paths", [])]
    found |= {**user, "wrapper_paths": list(dict.fromkeys(paths))}
    # What is run is kept as text; what is only set is in no text of ours.
    if old.ours and (fixed := list(filter(wrapping.is_fixed, old.values.get("extra_envs", ())))):
        found["extra_envs"] = [*fixed, *user.get("extra_envs", ())]
    return found


def kept(old: Old) -> Values:
    """What even the site's ``force`` does not change of an installation that is there."""
    values = {key: old.values[key] for key in _KEPT if key in old.values}
    return {**values, "installation_prefix": str(old.prefix)}


def retire(recipe: Classic) -> None:
    """Take the container of an older Tykky aside, which always had one. What runs has it open."""
    path = recipe.prefix / str(recipe.values["container_image"])
    if path.is_file() and not path.is_symlink():
        aside = Place(recipe.prefix).hidden / ".replaced"
        aside.mkdir(exist_ok=True)
        path.replace(aside / path.name)
