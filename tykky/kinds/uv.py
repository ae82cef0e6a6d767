"""Everything Tykky asks of uv: resolving requirements, and the words of its failures.

Public names: ``program``, ``environment``, ``resolve``, ``explain``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tykky.errors import Exit, LockError, StepError, ToolError, TykkyError
from tykky.lock import Package

if TYPE_CHECKING:
    from tykky.config import Config

_UNREACHABLE = re.compile(
    r"error sending request|dns error|failed to lookup address|connection refused|"
    r"connection reset|connect error|network is unreachable|timed out|could not connect|"
    r"tls|certificate",
    re.IGNORECASE,
)
_UNKNOWN = re.compile(r"Because (\S+) was not found in the package registry")
_NO_WHEEL = re.compile(r"(?:Because|and) (\S+?)(?:==\S+)? has no (?:usable )?wheels")


def program() -> str:
    """The uv to use: the one installed with Tykky, else the one on PATH."""
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if not found:
        raise ToolError("uv is not installed", remedy="install it beside Tykky: 'pip install uv'")
    return found


def environment(config: Config) -> dict[str, str]:
    """The variables that make uv do the same for everybody: no user configuration."""
    variables = {
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_LINK_MODE": "copy",
        "UV_CACHE_DIR": str(config.cache_dir / "uv"),
        "UV_DEFAULT_INDEX": config.pip.index_url,
        "UV_CONCURRENT_INSTALLS": str(config.jobs) if config.jobs else "",
        "UV_INDEX": " ".join(config.pip.extra_index_urls),
    }
    return {name: value for name, value in variables.items() if value}


def platform(config: Config, arch: str) -> str:
    """The name uv has for the machines a stack will run on, e.g. ``x86_64-manylinux_2_28``."""
    return f"{arch}-manylinux_{config.pip.glibc.replace('.', '_')}"


def resolve(
    requirements: Sequence[str],
    *,
    python: str,
    arch: str,
    source: Sequence[str],
    config: Config,
) -> tuple[Package, ...]:
    """The exact files that satisfy ``requirements`` on a Python and an architecture.

    Only wheels are taken, since a wheel is the same everywhere, except for the projects named
    in ``source``, whose own code may run for it: hence the box. Nothing is installed. Raises
    ``TykkyError`` with the resolver's reason.
    """
    from tykky.build.box import closed, enclosed
    from tykky.build.scratch import Scratch

    line = [program(), "pip", "compile", "requirements.in", "--output-file", "pylock.toml"]
    line += ["--quiet", "--format", "pylock.toml"]
    line += ["--generate-hashes", "--no-header", "--no-annotate", "--no-python-downloads"]
    line += ["--python-version", python, "--python-platform", platform(config, arch)]
    line += ["--only-binary", ":all:"]
    for name in source:
        line += ["--no-binary", name]
    with tempfile.TemporaryDirectory(prefix="tykky-") as folder:
        scratch, work = Scratch(Path(folder)), Path(folder, "work")
        work.mkdir()
        (work / "requirements.in").write_text("\n".join(requirements) + "\n", encoding="utf-8")
        variables = {**closed(scratch, config), **environment(config)}
        done = subprocess.run(
            enclosed(line, variables, scratch, config, places={work: work}),
            stdin=subprocess.DEVNULL,
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise explain(done.stderr)
        return _packages((work / "pylock.toml").read_text(encoding="utf-8"))


def _packages(text: str) -> tuple[Package, ...]:
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tuple(_package(row) for row in tomllib.loads(text).get("packages", []))


def _package(row: dict[str, Any]) -> Package:
    chosen = (row.get("wheels") or [row.get("sdist")])[0]
    if not chosen or "sha256" not in chosen.get("hashes", {}):
        raise LockError(
            f"the package index gives no sha256 for {row['name']} {row.get('version', '')}",
            remedy="use a package index that does, or name a released version",
        )
    return Package(
        name=row["name"],
        version=row["version"],
        file=unquote(Path(urlsplit(chosen["url"]).path).name),
        sha256=chosen["hashes"]["sha256"],
        size=int(chosen.get("size", 0)),
    )


def explain(output: str) -> TykkyError:
    """The error for what uv printed when it failed."""
    lines = tuple(line for line in output.splitlines() if line.strip())[-12:]
    if unknown := _UNKNOWN.search(output):
        return StepError(
            f"there is no package '{unknown[1]}' in the package index",
            remedy="check its spelling in the recipe, and 'tykky config why pip.index_url'",
            code=Exit.UNKNOWN_PACKAGE,
            details=lines,
        )
    if wheel := _NO_WHEEL.search(output):
        return StepError(
            f"'{wheel[1]}' has no wheel for this Python and platform",
            remedy=f"let the recipe build it from source: source = ('{wheel[1]}',)",
            code=Exit.RESOLVE,
            details=lines,
        )
    if "No solution found" in output:
        return StepError(
            "the requirements of the recipe contradict each other",
            remedy="loosen one of the requirements that the lines above name",
            code=Exit.RESOLVE,
            details=lines,
        )
    if "No space left on device" in output or "Disk quota exceeded" in output:
        return StepError(
            "there is no space left for the packages",
            remedy="free some space, or choose other disks: 'tykky config why build_dir' and "
            "'tykky config why cache_dir' say which are used",
            code=Exit.NO_SPACE,
            details=lines,
        )
    if "Hash mismatch" in output:
        return StepError(
            "a downloaded file is not the one in the lock",
            remedy="the index or something on the way altered it; do not install it",
            code=Exit.DAMAGED,
            details=lines,
        )
    if "Failed to initialize cache" in output or "Permission denied" in output:
        return StepError(
            "uv may not write to the cache",
            remedy="choose a directory that you may write to: 'tykky config set cache_dir DIR'",
            code=Exit.NOT_WRITABLE,
            details=lines,
        )
    if _UNREACHABLE.search(output):
        return StepError(
            "the package index cannot be reached",
            remedy="check the network and proxies, and 'tykky config why pip.index_url'",
            code=Exit.NETWORK,
            details=lines,
        )
    return StepError("uv failed", remedy="the lines above are what it says", details=lines)
