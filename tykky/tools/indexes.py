"""Where packages from an index come from, and how: the user's own pip settings, for uv.

Requirements files that users wrote for pip are given to uv, which is ten times as fast, with what
their pip would go by; what uv cannot read is left to pip. The rule for indexes is that of
:func:`tykky.tools.uv.indexes`: the first that has a package decides.
"""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tykky.errors import TykkyError
from tykky.text import read_text
from tykky.tools import uv

if TYPE_CHECKING:
    from tykky.config import Config

#: pip's options, as its variables and files spell them, and what uv calls them.
_OPTIONS = {
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "constraint": "UV_CONSTRAINT",
}
_INDEX = ("index-url", "extra-index-url")
#: Those that may be files or directories.
_LOCAL = ("UV_FIND_LINKS", "UV_CONSTRAINT", "UV_DEFAULT_INDEX", "UV_INDEX")
#: What makes uv do the same for everybody.
_NOT_FOR_USERS = ("UV_NO_CONFIG", "UV_NO_PROGRESS", "UV_PYTHON_DOWNLOADS")

#: Options of a requirements file that count for all of it, by their other names; and what uv would
#: leave out of it with no more than a warning.
_SHORT = {"-r": "--requirement", "-i": "--index-url", "--pypi-url": "--index-url"}
_VALUED = (*_SHORT.values(), "--extra-index-url", "--trusted-host")
_ONLY_PIP = ("--use-feature", "--process-dependency-links")
#: The rule; without it, nothing is different from pip.
_FIRST = "first-index"


def installing(file: Path, folder: Path, config: Config, remarks: list[str]) -> str:
    """Commands that install what a requirements file says, run in a folder.

    They count on the functions of ``share/classic/install.sh``. ``remarks`` get what the user
    should know, because pip would do it otherwise.
    """
    options = list(_options(file))
    words = ["tykky_by_uv", "-r", str(file)]
    if any(name in _ONLY_PIP for name, _ in options):
        words[0] = "tykky_by_pip"
    else:
        words += ["--prerelease=allow"] if ("--pre", "") in options else []
        words += [f"--allow-insecure-host={it}" for name, it in options if name == "--trusted-host"]
    found = addresses(config, file)
    of_site = {config.pip.index_url, *config.pip.extra_index_urls}
    if _is_rule(config) and len(found) > 1 and set(found) - of_site:
        remarks.append(
            "packages are taken from the first of these indexes that has them: "
            f"{', '.join(found)}; for the best version of all, as pip takes it, set "
            "TYKKY_PIP_STRATEGY=best-match"
        )
    return f"cd {shlex.quote(str(folder))}\n{asking(config, file)}{shlex.join(words)}\n"


def _is_rule(config: Config) -> bool:
    return config.pip.strategy == _FIRST and "UV_INDEX_STRATEGY" not in os.environ


def asking(config: Config, file: Path | None) -> str:
    """What a command of the script begins with that asks the indexes of a requirements file.

    One that adds an index to others means it: a version that those do not have is taken from it.
    """
    found = _asking(addresses(config, file))
    adds = file is not None and any(name == "--extra-index-url" for name, _ in _options(file))
    if adds and _is_rule(config):
        found["UV_INDEX_STRATEGY"] = "unsafe-first-match"
    return "".join(f"{name}={shlex.quote(value)} " for name, value in found.items())


def _options(file: Path, seen: frozenset[Path] = frozenset()) -> Iterator[tuple[str, str]]:
    """The options of a requirements file and of those it includes, in their order, with values."""
    text = read_text(file, "requirements file", any_bytes=True).replace("\\\n", " ")
    seen |= {file}
    for line in text.splitlines():
        words = iter(re.sub(r"(^|\s)#.*", "", line).split() if line.lstrip()[:1] == "-" else ())
        for word in words:
            name, _, value = word.partition("=")
            if name[:2] in _SHORT:  # -rFILE
                name, value = name[:2], word[2:].removeprefix("=")
            name = _SHORT.get(name, name)
            value = value or (next(words, "") if name in _VALUED else "")
            # As pip and uv do.
            value = re.sub(r"\$\{([A-Z0-9_]+)\}", lambda it: os.environ.get(it[1], it[0]), value)
            if name != "--requirement":
                yield name, value.strip("\"'")
            elif (path := file.parent / value) not in seen and path.is_file():
                yield from _options(path, seen)


def addresses(config: Config, file: Path | None = None) -> tuple[str, ...]:
    """The indexes in the order in which they are asked for what is in a user's requirements file.

    What the user has set for uv or pip is in the place of the site's. As with pip, an index that
    the file names is in the place of all; further ones come last.
    """
    environ, own = os.environ, _of_pip(os.environ)
    index = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL") or own.get("index-url")
    further = f"{environ.get('UV_INDEX', '')} {environ.get('UV_EXTRA_INDEX_URL', '')}".split()
    further = further or own.get("extra-index-url", "").split()
    found = [index or config.pip.index_url, *(further or config.pip.extra_index_urls)]
    for name, value in _options(file) if file else ():
        if name == "--index-url" and value:
            found = [value]
        elif name == "--extra-index-url" and value:
            found.append(value)
    return tuple(dict.fromkeys(found))


def _asking(found: Sequence[str]) -> dict[str, str]:
    """What makes uv ask indexes in this order, and pip at least the same."""
    plain = [re.sub(r"^[\w.-]+=", "", address) for address in found]  # uv lets them have names
    return {
        **uv.asking(found),
        "PIP_INDEX_URL": plain[0],
        "PIP_EXTRA_INDEX_URL": " ".join(plain[1:]),
    }


def by_pip(folder: Path) -> Iterator[str]:
    """What to tell of packages that pip has chosen among several indexes, from its reports."""
    for report in sorted(folder.glob("by-pip.*")):
        hosts: dict[str, list[str]] = {}
        with contextlib.suppress(ValueError, KeyError):
            for each in json.loads(report.read_bytes())["install"]:
                host = urlsplit(each["download_info"]["url"]).netloc.rpartition("@")[2]
                what = f"{each['metadata']['name']} {each['metadata']['version']}"
                hosts.setdefault(host or "this machine", []).append(what)
        if hosts:
            names = "; ".join(f"from {host}: {', '.join(each)}" for host, each in hosts.items())
            yield f"pip had to be asked, which takes the best version of all indexes: {names}"


def environment(config: Config, cached: bool) -> dict[str, str]:
    """The variables for uv and pip. What the user has set for uv stays as it is."""
    usual, own = uv.environment(config), _of_pip(os.environ)
    found = {
        **{name: value for name, value in usual.items() if name not in _NOT_FOR_USERS},
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        **{variable: own[option] for option, variable in _OPTIONS.items() if option in own},
    }
    if not cached:
        found |= {"UV_NO_CACHE": "1", "PIP_NO_CACHE_DIR": "1"}
    found = {name: value for name, value in found.items() if value and name not in os.environ}
    uv_folder = str(Path(uv.program()).parent)
    return {**found, **_asking(addresses(config)), "TYKKY_UV_FOLDER": uv_folder}


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
    for option in (*_OPTIONS, *_INDEX):
        if text := environ.get(f"PIP_{option.upper().replace('-', '_')}"):
            values[option] = text
    return {
        option: ("," if option == "find-links" else " ").join(text.split())
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
    named = ((key.replace("_", "-"), text) for key, text in items)
    return {key: text for key, text in named if key in _OPTIONS or key in _INDEX}
