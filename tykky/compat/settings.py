"""The configuration of the classic commands: a site's file, and what the user asks for.

A file has four parts: ``defaults`` count where the user says nothing, ``force`` counts whatever
the user says, ``prepends`` and ``appends`` are put around lists. All values are known by their
keys: a key that has no effect any more is accepted, a misspelt one is an error.
"""

from __future__ import annotations

import os
import random
import re
import string
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tykky import trust
from tykky.errors import ConfigError, Where, did_you_mean
from tykky.text import load_yaml, read_text

Values = dict[str, Any]

#: How users' files are read and written: they need not be UTF-8.
TEXT = {"encoding": "utf-8", "errors": "surrogateescape"}
#: Lists of what is run, which may be in files.
SCRIPTS = ("pre_install", "post_install", "extra_envs")
_TEXTS = (
    *("env_name", "installation_prefix", "installation_path", "container_src", "container_image"),
    *("sqfs_image", "sqfs_options", "build_tmpdir_base", "workdir", "env_file", "mode"),
    *("requirements_file", "pyver", "wrap_src", "sqfs_src"),
)
_SWITCHES = (
    *("composable", "isolate", "wrap_all", "add_ld", "share_container"),
    *("update_installation", "mamba", "use_uv", "pipcache", "enable_site_packages"),
    "mask_wrap_install",
)
_NUMBERS = ("log_level", "num_cpus", "max_num_cpus")
_LISTS = (
    *("mount_points", "wrapper_paths", "wrapper_ld_library_paths"),
    *("installation_file_paths", *SCRIPTS),
)
#: Names of files and folders in an installation.
_NAMES = ("env_name", "container_image", "sqfs_image")
#: Accepted, because configuration files have them, and why they change nothing.
NO_EFFECT = {
    "conda_version": "there is no Miniforge in an image any more",
    "conda_arch": "packages are taken for the architecture of this machine",
    "source_mount_point": "nothing is copied by way of a mount point any more",
    "template_script": "each command knows its own steps",
    "excluded_mount_points": "an image may lie over any directory",
    "singularity_executable_path": "Apptainer is looked for where it is needed",
    "create_wrappers": "an installation without commands has no use",
    "tykky_abuse": "values are no longer evaluated by a shell",
}
KNOWN = (*_TEXTS, *_SWITCHES, *_NUMBERS, *_LISTS, *NO_EFFECT)
#: Yes or no, as YAML and older files of the classic commands write it.
_WORDS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
_PARTS = ("defaults", "force", "prepends", "appends")
#: Whose variables are for when a command of the install runs, or are taken as they are.
_UNEXPANDED = (*SCRIPTS, *NO_EFFECT)


def read_site() -> dict[str, Values]:
    """The site's settings, by the four parts.

    The file is that of CW_GLOBAL_YAML, the installation's own, or the one that is shipped, which
    also says what a site's file leaves out. Raises ``ConfigError`` for what is wrong in it.
    """
    from tykky.resources import resource

    shipped = resource("configs") / "classic.yaml"
    own = Path(sys.prefix, "etc", "tykky", "classic.yaml")
    file = Path(os.environ.get("CW_GLOBAL_YAML") or (own if own.exists() else shipped))
    trust.check(file, "the configuration of the classic commands", ConfigError)
    data = _load(file, "unset CW_GLOBAL_YAML, or correct it")
    for part in data:
        if part not in _PARTS:
            cause = f"a configuration of the classic commands has no part '{part}'"
            remedy = did_you_mean(str(part), [*_PARTS]) or f"it has {', '.join(_PARTS)}"
            raise ConfigError(cause, remedy=remedy, where=_where(file, part))
    parts = {part: checked(data.get(part) or {}, file) for part in _PARTS}
    if file != shipped:
        basic = _load(shipped, "")
        parts["defaults"] = {**basic["defaults"], **basic["force"], **parts["defaults"]}
    return parts


def read_user(file: Path) -> Values:
    """A user's own file, for ``advanced`` and ``--yaml``. Raises ``ConfigError``."""
    return checked(_load(file, "give a YAML file that can be read"), file)


def _load(file: Path, remedy: str) -> dict[str, Any]:
    text = read_text(file, "configuration", ConfigError, remedy=remedy)
    data = load_yaml(text, file, ConfigError)
    if not isinstance(data, dict):
        raise ConfigError(f"the configuration {file} has no keys in it", remedy=remedy)
    return data


def _where(file: Path, key: object) -> Where:
    """The line of a key."""
    lines = read_text(file, any_bytes=True).split("\n")
    found = (n for n, line in enumerate(lines, 1) if line.strip().startswith(f"{key}:"))
    return Where(file, next(found, 0))


def checked(values: object, file: Path) -> Values:
    """The values of a file, as their keys have them. Raises ``ConfigError``."""
    if not isinstance(values, Mapping):
        cause = f"a part of the configuration {file} has no keys in it"
        raise ConfigError(cause, remedy="write KEY: VALUE")
    found = {}
    for key, value in values.items():
        if key not in KNOWN:
            remedy = did_you_mean(str(key), [*KNOWN]) or "the guide for migrating lists all keys"
            raise ConfigError(f"there is no key '{key}'", remedy=remedy, where=_where(file, key))
        try:
            found[key] = _value(key, value)
        except ValueError as error:
            cause = f"'{key}' {error}, not {value!r}"
            raise ConfigError(cause, where=_where(file, key)) from None
    return found


def _value(key: str, value: Any) -> Any:
    """A value as its key has it. Raises ``ValueError``, which says what it is."""
    if key in _LISTS:
        items = [] if value is None else value if isinstance(value, list) else [value]
        return [_item(key, item) for item in items]
    if key in NO_EFFECT:
        return value  # one or a list, as it always was
    if isinstance(value, dict | list):
        raise ValueError("is one value")
    text = _text("" if value is None else value)
    if key in _SWITCHES:
        if text.lower() not in _WORDS:
            raise ValueError("is yes or no")
        return _WORDS[text.lower()]
    if key in _NUMBERS:
        if not text.isdigit():
            raise ValueError("is a number")
        return int(text)
    if key in _NAMES and not re.fullmatch(r"[A-Za-z0-9_][\w.+-]*", text):
        raise ValueError("is the plain name of a file")
    return text


def _item(key: str, item: Any) -> Any:
    keys = set(item) if isinstance(item, dict) else set()
    if key in SCRIPTS and keys == {"file"}:
        return {"file": _text(item["file"])}
    if key == "extra_envs":
        if keys != {"type", "name", "value"}:
            raise ValueError("has 'file: PATH', or 'type', 'name' and 'value'")
        if item["type"] not in ("set", "append", "prepend"):
            raise ValueError("has the types set, append and prepend")
        return {name: _text(value) for name, value in item.items()}
    if isinstance(item, dict | list):
        more = "has commands, and 'file: PATH'" if key in SCRIPTS else "is a list of values"
        raise ValueError(more)
    return _text(item)


def _text(value: Any) -> str:
    """A value as text that the system can be given. Raises ``ValueError``."""
    text = str(value)
    if re.search("[\0\ud800-\udfff]", text):
        raise ValueError("is text")
    return text


def merge(site: Mapping[str, Values], user: Values) -> Values:
    """The values that count: defaults, the user's in lists that the site begins and ends, force.

    Raises ``ConfigError``.
    """
    merged = {**site["defaults"], **site["prepends"]}
    for key, value in user.items():
        merged[key] = merged[key] + value if key in site["prepends"] else value
    for key, value in site["appends"].items():
        merged[key] = merged[key] + value if key in merged else value
    merged |= site["force"]
    if base := os.environ.get("CW_BUILD_TMPDIR"):
        merged["build_tmpdir_base"] = base
    if level := os.environ.get("CW_LOG_LEVEL"):
        if not level.isdigit():
            remedy = "0 tells errors only, 1 warnings, 2 what is done, more everything"
            raise ConfigError(f"CW_LOG_LEVEL is a number, not '{level}'", remedy=remedy)
        merged["log_level"] = int(level)
    return {key: value if key in _UNEXPANDED else _expanded(value) for key, value in merged.items()}


def _expanded(value: Any) -> Any:
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    if not isinstance(value, str):
        return value
    text = os.path.expandvars(value)
    # A machine without $TMPDIR has /tmp.
    return text.replace("${TMPDIR}", "/tmp").replace("$TMPDIR", "/tmp")


def settle_path(values: Values) -> None:
    """Give an installation its path inside, with a suffix of its own if it is ``composable``."""
    path = values["installation_path"]
    if path == "prefix":
        return
    if not path.startswith("/") or ".." in Path(path).parts or path == "/" or "$" in path:
        cause = f"'installation_path' is an absolute path, or the word 'prefix', not '{path}'"
        raise ConfigError(cause, remedy="write, for example, /LOCAL_TYKKY")
    if values.get("composable"):
        letters = string.ascii_letters + string.digits
        values["installation_path"] = f"{path}_{''.join(random.choices(letters, k=7))}"
