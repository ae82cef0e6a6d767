"""Where packages from an index come from, and how: the user's own pip settings, for uv.

Requirements files that users wrote for pip are given to uv, which is ten times as fast, with what
their pip would go by; what uv cannot read is left to pip.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import TykkyError
from tykky.text import read_text
from tykky.tools import uv

if TYPE_CHECKING:
    from tykky.config import Config

#: pip's options, as its variables and files spell them, and what uv calls them.
_OPTIONS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "constraint": "UV_CONSTRAINT",
}
#: Those that may be files or directories.
_LOCAL = ("UV_FIND_LINKS", "UV_CONSTRAINT", "UV_DEFAULT_INDEX", "UV_INDEX")
#: What makes uv do the same for everybody.
_NOT_FOR_USERS = ("UV_NO_CONFIG", "UV_NO_PROGRESS", "UV_PYTHON_DOWNLOADS")

#: What uv would leave out of a requirements file with no more than a warning.
_ONLY_PIP = re.compile(r"--(pre|trusted-host|use-feature|process-dependency-links)\b")
_INCLUDED = re.compile(r"(?:-r|--requirement)[\s=]*(\S+)")


def installing(file: Path, folder: Path) -> str:
    """Commands that install what a requirements file says, run in a folder.

    They count on the functions of ``share/classic/install.sh``.
    """
    tool = "tykky_by_pip" if _is_for_pip(file) else "tykky_by_uv"
    return f"cd {shlex.quote(str(folder))}\n{tool} -r {shlex.quote(str(file))}\n"


def _is_for_pip(file: Path, seen: frozenset[Path] = frozenset()) -> bool:
    """Whether a requirements file, or one that it includes, has what only pip understands."""
    lines = read_text(file, "requirements file", any_bytes=True).split("\n")
    lines = [line.strip() for line in lines]
    included = [file.parent / found[1] for line in lines if (found := _INCLUDED.match(line))]
    seen |= {file}
    return any(map(_ONLY_PIP.match, lines)) or any(
        _is_for_pip(path, seen) for path in included if path not in seen and path.is_file()
    )


def environment(config: Config, cached: bool) -> dict[str, str]:
    """The variables for uv and pip. What the user has set for uv stays as it is."""
    usual = uv.environment(config)
    found = {
        **{name: value for name, value in usual.items() if name not in _NOT_FOR_USERS},
        # As pip does: the best version of all indexes.
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        **_of_pip(os.environ),
    }
    if not cached:
        found |= {"UV_NO_CACHE": "1", "PIP_NO_CACHE_DIR": "1"}
    found = {name: value for name, value in found.items() if value and name not in os.environ}
    return {**found, "TYKKY_UV_FOLDER": str(Path(uv.program()).parent)}


def _of_pip(environ: Mapping[str, str]) -> dict[str, str]:
    """What pip would be told by its files and variables, later ones first."""
    home = Path(environ.get("HOME", "/nonexistent"))
    settings = environ.get("XDG_CONFIG_HOME") or home / ".config"
    files = [Path("/etc/pip.conf"), home / ".pip/pip.conf", Path(settings, "pip/pip.conf")]
    if named := environ.get("PIP_CONFIG_FILE"):
        files = [] if named == os.devnull else [*files, Path(named)]
    values: dict[str, str] = {}
    for file in files:
        values |= _read(file)
    for option in _OPTIONS:
        if text := environ.get(f"PIP_{option.upper().replace('-', '_')}"):
            values[option] = text
    return {
        _OPTIONS[option]: ("," if option == "find-links" else " ").join(text.split())
        for option, text in values.items()
    }


def places(config: Config) -> list[Path]:
    """What of that is on this machine, and has to be seen by a build."""
    found = {**environment(config, True), **os.environ}
    words = (found.get(name, "").replace(",", " ").split() for name in _LOCAL)
    paths = [Path(word.removeprefix("file://")) for group in words for word in group]
    return [path for path in paths if path.is_absolute()]


def _read(file: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(read_text(file))
    except (TykkyError, configparser.Error):
        return {}
    sections = [name for name in ("global", "install") if parser.has_section(name)]
    items = (item for name in sections for item in parser.items(name))
    return {key.replace("_", "-"): text for key, text in items if key.replace("_", "-") in _OPTIONS}
