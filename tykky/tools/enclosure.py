"""Running what is built, resolved or unpacked: the environment and the command line of a box."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.tools.scratch import Scratch

#: Where programs of a base are looked for, whatever PATH the installer has.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: What of the installer's environment a build may see: how to reach the network, no more.
PASSED = (
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)


def closed(scratch: Scratch, config: Config) -> dict[str, str]:
    """The environment of everything that is built: the same whoever builds it."""
    return {
        **passed(),
        "PATH": PATH,
        "HOME": str(scratch.home),
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "XDG_CACHE_HOME": str(config.cache_dir),
        "SOURCE_DATE_EPOCH": "315532800",  # 1980, the first year a zip file can name
        "PYTHONHASHSEED": "0",
    }


def passed() -> dict[str, str]:
    """What is taken over from the environment of the installer."""
    return {name: os.environ[name] for name in PASSED if name in os.environ}


def enclosed(
    argv: Sequence[str],
    env: Mapping[str, str],
    scratch: Scratch,
    config: Config,
    *,
    seen: Sequence[Path] = (),
    places: Mapping[Path, Path] | None = None,
    program: Path | None = None,
) -> list[str]:
    """The command line that runs ``argv`` where only scratch and cache can be written to.

    ``places`` are more folders to write to, and where they lie inside (the last is where
    ``argv`` starts); ``seen`` stays visible even if it lies below the host's /tmp. ``program`` is
    the box to use, if not the host's.
    """
    from tykky.runtime import native

    for folder in (scratch.home, scratch.tmp, config.cache_dir):
        folder.mkdir(parents=True, exist_ok=True)
    inside = {scratch.home: scratch.home, config.cache_dir: config.cache_dir, **(places or {})}
    line = [str(program or native.program("box")), "--root-readonly"]
    line += ["--bind", str(scratch.tmp), "/tmp", "--bind", str(scratch.tmp), "/var/tmp"]
    for path in dict.fromkeys((*seen, Path(sys.prefix), Path(__file__).parent.parent)):
        # The private /tmp would hide it.
        if path.exists() and {Path("/tmp"), Path("/var/tmp")}.intersection(path.parents):
            line += ["--ro-bind", str(path), str(path)]
    for source, target in inside.items():
        line += ["--bind", str(source), str(target)]
    # A build may use the cache, and not tell its owner what is installed.
    listings = config.cache_dir / "listings"
    with contextlib.suppress(OSError):
        listings.mkdir(exist_ok=True)
    if listings.is_dir():
        line += ["--ro-bind", str(listings), str(listings)]
    line += ["--chdir", str(list(inside.values())[-1])]
    return [*line, "--", *argv]
