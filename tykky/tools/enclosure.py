"""Running what is built, resolved or unpacked: the environment and the command line of a box.

What a box is promised to keep away is in ``share/doc/explanation/security.md``.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.host import real
from tykky.runtime import native

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.tools.scratch import Scratch

#: Where programs of a base are looked for, whatever PATH the installer has.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: What of the installer's environment a build may see that may use the network: how to reach it.
PASSED = (
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
#: The directories in ``/`` that belong to the system. All others are the site's and its users'.
_SYSTEM = frozenset(
    {"bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "opt", "proc", "sbin", "sys"}
    | {"usr", "var", "nix", "gnu"}
)
#: Variables that name what is a user's own, wherever that is.
_HOMES = ("HOME", "XDG_RUNTIME_DIR")
#: What of them is not for builds: sockets of daemons, mail, jobs that wait.
_NOT_FOR_BUILDS = ("/run", "/var/run", "/var/spool", "/var/mail", "/var/crash")
#: What comes before the names of the variables that the box hands on.
_GIVEN = "TYKKY_BOX_"


def closed(scratch: Scratch) -> dict[str, str]:
    """The environment of everything that is built: the same whoever builds it."""
    return {
        "PATH": PATH,
        "HOME": str(scratch.home),
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "XDG_CACHE_HOME": f"{scratch.home}/.cache",
        "SOURCE_DATE_EPOCH": "315532800",  # 1980, the first year a zip file can name
        "PYTHONHASHSEED": "0",
    }


def passed() -> dict[str, str]:
    """What is taken over from the environment of the installer."""
    return {name: os.environ[name] for name in PASSED if name in os.environ}


@dataclass(frozen=True)
class Access:
    """What a box lets through; without any of it, only scratch can be written to.

    ``places`` are folders to write to, and where they lie inside; ``files`` are to be read there.
    ``seen`` stays visible at its own place, and ``reads`` with all that is below. With
    ``network`` the host's can be used. ``restrict`` adds the kernel's second wall, behind which
    no stack can be entered. In an ``own_root`` nothing of the host is that is not asked for.
    """

    seen: Sequence[Path] = ()
    reads: Sequence[Path] = ()
    places: Mapping[Path, Path] = field(default_factory=dict)
    files: Mapping[Path, Path] = field(default_factory=dict)
    network: bool = False
    restrict: bool = True
    own_root: bool = False


def enclosed(
    argv: Sequence[str],
    env: Mapping[str, str],
    scratch: Scratch,
    config: Config,
    access: Access,
    *,
    program: Path | None = None,
) -> tuple[list[str], dict[str, str]]:
    """The command line, and its environment, that run ``argv`` in a box.

    It starts in the last of the places. ``program`` is the box to use, if not the host's. Variables
    are given as variables: everybody on a node can read arguments.
    """
    for folder in (scratch.home, scratch.tmp):
        folder.mkdir(parents=True, exist_ok=True)
    line = [str(program or native.program("box")), "--root-readonly", "--own-env"]
    line += ["--offline"] if not access.network else []
    line += ["--restrict"] if access.restrict else []
    covered = list(dict.fromkeys(_covered(config, access)))
    for path in covered:
        line += ["--tmpfs", str(path)]
    line += ["--bind", str(scratch.tmp), "/tmp", "--bind", str(scratch.tmp), "/var/tmp"]
    out_of_sight = {*covered, Path("/tmp"), Path("/var/tmp")}
    for path in dict.fromkeys(_visible(access)):
        if not out_of_sight.isdisjoint((path, *path.parents)) and path.exists():
            line += ["--ro-bind", str(path), str(path)]
    places = {scratch.home: scratch.home, **access.places}
    for source, target in places.items():
        line += ["--bind", str(source), str(target)]
    for source, target in access.files.items():
        line += ["--ro-bind", str(source), str(target)]
    line += ["--chdir", str(list(places.values())[-1])]
    variables = {**(passed() if access.network else {}), **env}
    given = {f"{_GIVEN}{name}": value for name, value in variables.items()}
    return [*line, "--", *argv], {"PATH": PATH, **given}


def _covered(config: Config, access: Access) -> Iterator[Path]:
    """What is out of sight: homes, the site's directories, sockets, other builds, the cache."""
    reads = {real(path) for path in access.reads}
    for path in () if access.own_root else sorted(set(_of_others())):
        if reads.isdisjoint((path, *path.parents)):
            yield path
    yield from (real(path) for path in (config.cache_dir, config.build_dir) if path.is_dir())


def _of_others() -> Iterator[Path]:
    """Directories that do not belong to the system, or not to builds, where their links lead."""
    names = [path for path in Path("/").iterdir() if path.name not in _SYSTEM]
    names += map(Path, ("/home", *_NOT_FOR_BUILDS))
    names += [Path(os.environ[name]) for name in _HOMES if os.environ.get(name, "")[:1] == "/"]
    with suppress(KeyError):
        names.append(Path(pwd.getpwuid(os.getuid()).pw_dir))
    for path in map(real, names):
        is_of_system = len(path.parts) == 2 and path.name in _SYSTEM
        if path != Path("/") and not is_of_system and path.is_dir():
            yield path


def _visible(access: Access) -> Iterator[Path]:
    """What stays in sight wherever it is."""
    own = [Path(sys.prefix), Path(__file__).parent.parent, native.program("box").parent]
    if not access.own_root:
        own.append(Path(sys.base_prefix))
        # How names are found, and certificates.
        named = ("/etc/resolv.conf", *passed().values()) if access.network else ()
        yield from (real(Path(name)) for name in named if name.startswith("/"))
    for path in (*own, *access.seen, *access.reads):
        yield from (path, real(path))
