"""Installations that are there already: ours, and those of earlier versions of the commands."""

from __future__ import annotations

from pathlib import Path

from tykky.compat import settings, wrapping
from tykky.compat.classic import Classic
from tykky.compat.layout import images_of, share_of
from tykky.compat.settings import Values
from tykky.errors import Exit, StoreError, TykkyError
from tykky.store import Place
from tykky.text import load_yaml, read_text

#: What stays as it is, whatever the site's configuration says by now.
_KEPT = (
    *("installation_path", "env_name", "isolate", "container_src", "container_image"),
    *("sqfs_image", "share_container", "mask_wrap_install", "wrap_src", "mount_points"),
)
#: What an update takes over unless it is asked for something else.
_INHERITED = ("mamba", "use_uv", "pipcache", "pyver", "add_ld", "wrap_all", "enable_site_packages")
#: What an installation that does not say it has.
_UNSAID = {"sqfs_image": "img.sqfs", "container_image": "container.sif", "env_name": "env1"}


def find(prefix: Path, kind: type[Classic]) -> Values:
    """What the installation in a directory is. Raises ``TykkyError`` if it cannot be updated."""
    Place(prefix).check_formats()
    conf = share_of(prefix) / "conf.yaml"
    if not conf.is_file():
        remedy = "give the directory that has 'bin' and 'share/conf.yaml' in it"
        raise TykkyError(
            f"there is no installation in {prefix}", remedy=remedy, code=Exit.NOT_FOUND
        )
    values = _values(conf)
    if values.get("mode") != kind.kind:
        makers = {"conda": "conda-containerize", "venv": "pip-containerize"}
        maker = makers.get(str(values.get("mode")))
        cause = f"the installation in {prefix} is of another kind"
        remedy = f"use '{maker} update'" if maker else "make it anew: what is wrapped stays so"
        raise TykkyError(cause, remedy=remedy, code=Exit.CONFLICT)
    missing = [path for path in images_of(prefix, values) if not path.is_file()]
    for image in missing:
        cause = f"the image of the installation is missing: {image}"
        raise StoreError(cause, remedy="make the installation anew", code=Exit.DAMAGED)
    return values


def _values(conf: Path) -> Values:
    try:
        data = load_yaml(read_text(conf), conf, TykkyError)
        if not isinstance(data, dict):
            raise ValueError("it has no keys in it")
        # The keys of every version that ever was: what is not known any more says nothing.
        known = set(settings.KNOWN) - set(settings.NO_EFFECT)
        values = {key: value for key, value in data.items() if key in known}
        found = {**_UNSAID, **settings.checked(values, conf)}
        path = str(found["installation_path"])
        if not path.startswith("/") and path != "prefix":
            raise ValueError("installation_path is not absolute")
    except (TykkyError, KeyError, ValueError) as e:
        cause = f"{conf} cannot be understood: {e}"
        raise StoreError(cause, remedy="make the installation anew", code=Exit.DAMAGED) from None
    return found


def inherit(prefix: Path, old: Values, user: Values) -> Values:
    """What the user wants of an update, and what is taken over from the installation."""
    found = {key: old[key] for key in (*_KEPT, *_INHERITED) if key in old}
    paths = [*old.get("wrapper_paths", []), *user.get("wrapper_paths", [])]
    found |= {**user, "wrapper_paths": list(dict.fromkeys(paths))}
    # What is run is kept as text; what is only set is in no text of ours.
    fixed = list(filter(wrapping.is_fixed, old.get("extra_envs", ())))
    if fixed and Place(prefix).current:
        found["extra_envs"] = [*fixed, *user.get("extra_envs", ())]
    return found


def kept(prefix: Path, old: Values) -> Values:
    """What even the site's ``force`` does not change of an installation that is there."""
    values = {key: old[key] for key in _KEPT if key in old}
    return {**values, "installation_prefix": str(prefix)}


def retire(recipe: Classic) -> None:
    """Take the container of an older Tykky aside, which always had one. What runs has it open."""
    path = recipe.prefix / str(recipe.values["container_image"])
    if path.is_file() and not path.is_symlink():
        aside = Place(recipe.prefix).hidden / ".replaced"
        aside.mkdir(exist_ok=True)
        path.replace(aside / path.name)
