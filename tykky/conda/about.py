"""What ``conda`` commands in a box tell of the environment; they change nothing.

Public names: ``records``, ``show``, ``info``, ``env_list``, ``export``, ``nothing``, ``refuse``.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tykky import __version__
from tykky.conda import channels
from tykky.conda.target import FOLDER, FOLLOW, Target, follow
from tykky.contents import Installed, files_of_conda, of_conda, of_python
from tykky.errors import Exit, TykkyError


def records(target: Target) -> list[dict[str, Any]]:
    """What the environment has written down of each of its conda packages."""
    paths = sorted((target.prefix / "conda-meta").glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def show(target: Target, args: Namespace) -> int:
    """List the packages of the environment, those of pip as well."""
    if args.explicit:
        digest = "md5" if args.md5 else "sha256"
        lines = [f"{record['url']}#{record.get(digest) or ''}" for record in records(target)]
        print("\n".join(["@EXPLICIT", *lines]))
        return 0
    wanted = re.compile(args.pattern or "")
    found = [p for p in _packages(target, pip=not args.no_pip) if _is_meant(wanted, p, args)]
    if args.json:
        print(json.dumps([_row(package, target) for package in found], indent=1))
    elif args.export:
        print("\n".join(f"{p.name}={p.version}={p.build or 'pypi_0'}" for p in found))
    else:
        print(f"# packages in environment at {target.prefix}:\n#")
        _table(found)
    return 0


def _packages(target: Target, *, pip: bool = True) -> list[Installed]:
    found = list(of_conda(target.prefix, lambda url: channels.name_of(url, target.config)))
    if pip:
        found += of_python(target.prefix, files_of_conda(target.prefix))
    return found


def _is_meant(wanted: re.Pattern[str], package: Installed, args: Namespace) -> bool:
    find = wanted.fullmatch if args.full_name else wanted.search
    return find(package.name) is not None


def _row(package: Installed, target: Target) -> dict[str, str]:
    """A package with the keys that conda has for it."""
    build = package.build or "pypi_0"
    return {
        "name": package.name,
        "version": package.version,
        "build_string": build,
        "channel": package.channel,
        "dist_name": f"{package.name}-{package.version}-{build}",
        "license": package.license,
        "platform": "pypi" if package.channel == "pypi" else target.subdir,
    }


def _table(found: Sequence[Installed]) -> None:
    rows = [("# Name", "Version", "Build", "Channel")]
    rows += [(p.name, p.version, p.build or "pypi_0", p.channel) for p in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def info(target: Target, args: Namespace) -> int:
    """Tell about the environment; the base has no more than files that scripts read."""
    if args.base:
        print(FOLDER)
    elif args.json:
        facts = {
            "active_prefix": str(target.prefix),
            "active_prefix_name": target.names[0],
            "channels": list(target.channels),
            "conda_version": __version__,
            "envs": [str(target.prefix)],
            "platform": target.subdir,
            "root_prefix": str(FOLDER),
        }
        print(json.dumps(facts, indent=1))
    elif args.envs:
        env_list(target, args)
    else:
        print(f"active environment : {target.names[0]}\nactive env location : {target.prefix}")
        print(f"channels : {', '.join(target.channels)}\nplatform : {target.subdir}")
    return 0


def env_list(target: Target, args: Namespace) -> int:
    """Name the one environment there is."""
    if args.json:
        print(json.dumps({"envs": [str(target.prefix)]}))
    else:
        print(f"# conda environments:\n#\n{target.names[0]}  *  {target.prefix}")
    return 0


def export(target: Target, args: Namespace) -> int:
    """Print the environment as a file that would make it."""
    import yaml

    found = records(target)
    if args.from_history:
        specs = [spec for record in found for spec in record.get("requested_specs", ())]
    else:
        keys = ("name", "version") if args.no_builds else ("name", "version", "build")
        specs = ["=".join(record[key] for key in keys) for record in found]
    pip = [f"{p.name}=={p.version}" for p in _packages(target) if p.channel == "pypi"]
    data = {
        "name": target.names[0],
        "channels": [*target.channels, "nodefaults"],
        "dependencies": [*specs, *([{"pip": pip}] if pip and not args.from_history else [])],
    }
    text = yaml.safe_dump(data, sort_keys=False)
    if args.file and FOLLOW in os.environ:
        # It names a file of the image, and none of this side.
        follow(f"printf %s {shlex.quote(text)} > {shlex.quote(args.file)}\n")
    elif args.file:
        Path(args.file).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return 0


def nothing(target: Target, args: Namespace) -> int:
    """Do nothing: there is nothing to do."""
    return 0


def refuse(target: Target, args: Namespace) -> int:
    """Say why a command is not there, and what to write instead."""
    raise TykkyError(
        f"'{args.what}' is not there: {args.why}", remedy=args.instead, code=Exit.USAGE
    )
