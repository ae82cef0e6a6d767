"""What ``conda`` commands in a box do to the environment of the stack.

Public names: ``install``, ``update``, ``remove``, ``configure``, ``run``, ``activate``,
``env_update``.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tykky.conda import channels, environment, packages
from tykky.conda.about import records
from tykky.conda.process import Scene
from tykky.conda.target import FOLLOW, PROGRAMS, READABLE, Target, follow
from tykky.errors import Exit, StepError, TykkyError
from tykky.lock import Package

#: Settings of conda that make no other environment.
_HARMLESS = (
    *("always_yes", "auto_activate_base", "auto_update_conda", "changeps1", "report_errors"),
    *("notify_outdated_conda", "quiet", "show_channel_urls", "solver", "auto_activate"),
    *("remote_connect_timeout_secs", "remote_max_retries", "remote_read_timeout_secs"),
)

_NAME = re.compile(r"(?:.*::)?\s*([A-Za-z0-9_][A-Za-z0-9_.-]*)")


def install(target: Target, args: Namespace) -> int:
    """Add packages; what is there stays as it is if it can."""
    wanted, more = list(args.packages), list(args.channel)
    pinned: list[environment.Pinned] = []
    for name in args.file:
        file = _read(target, name)
        wanted += file.specs
        more += file.channels
        pinned += file.pinned
    if pinned:
        listed, config = channels.taken_out(
            environment.Environment(pinned=tuple(pinned)), target.config
        )
        added = packages.pinned(listed.pinned, target.subdir, config)
        _apply(replace(target, config=config), (*_without(target, pinned), *added), args)
    if wanted or not pinned:
        _solve(target, args, wanted, more, free=_names(wanted) if args.freeze_installed else ())
    return 0


def update(target: Target, args: Namespace) -> int:
    """Take newer versions of some packages, or of all."""
    names = [record["name"] for record in records(target)]
    wanted = names if args.all else list(args.packages)
    if unknown := _names(wanted) - {*names}:
        raise _absent(min(unknown))
    _solve(target, args, wanted, list(args.channel), free=_names(wanted))
    return 0


def remove(target: Target, args: Namespace) -> int:
    """Take packages away, and those that need them."""
    present = records(target)
    gone = set(args.packages)
    if unknown := gone - {record["name"] for record in present}:
        raise _absent(min(unknown))
    grown = True
    while grown:
        needy = {r["name"] for r in present if gone & _names(r.get("depends", ()))}
        grown, gone = not needy <= gone, gone | needy
    _apply(target, [_package(record) for record in present if record["name"] not in gone], args)
    return 0


def _absent(name: str) -> TykkyError:
    remedy = "'conda list' shows what there is, and 'conda install' adds to it"
    if name in PROGRAMS:
        remedy = "leave it out: the command is part of the build, and not of the environment"
    return StepError(
        f"there is no package '{name}' in the environment",
        remedy=remedy,
        code=Exit.UNKNOWN_PACKAGE,
    )


def configure(target: Target, args: Namespace) -> int:
    """Set channels and their priority for the commands that follow."""
    names, strict = target.channels, target.strict
    for options, last in ((args.add, False), (args.prepend, False), (args.append, True)):
        for key, value in options:
            if key != "channels":
                raise _no_setting(key)
            others = tuple(name for name in names if name != value)
            names = (*others, value) if last else (value, *others)
    for key, value in args.remove:
        if key != "channels":
            raise _no_setting(key)
        names = tuple(name for name in names if name != value)
    for key, value in args.set:
        if key == "channel_priority" and value in ("strict", "disabled", "false"):
            strict = value == "strict"
        elif key not in _HARMLESS:
            raise _no_setting(key if key != "channel_priority" else f"{key} {value}")
    target.keep(channels=names, strict=strict)
    return 0


def _no_setting(key: str) -> TykkyError:
    return TykkyError(
        f"the build has no setting '{key}'",
        remedy="there are channels, and channel_priority, which is strict or disabled",
        code=Exit.USAGE,
    )


def run(target: Target, args: Namespace) -> int:
    """Become another command."""
    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not words:
        raise TykkyError("there is no command to run", code=Exit.USAGE)
    if FOLLOW in os.environ:
        follow(f"exec {shlex.join(words)}\n")
        return 0
    try:
        os.execvp(words[0], words)
    except OSError as error:
        raise TykkyError(f"cannot run {words[0]}: {error.strerror}", code=Exit.NOT_FOUND) from None


def activate(target: Target, args: Namespace) -> int:
    """Accept the one environment there is, which is active."""
    wanted = args.environment
    if wanted and wanted not in target.names and Path(wanted) != target.prefix:
        raise TykkyError(
            f"there is no environment '{wanted}'",
            remedy="leave the line out: the environment of the stack is active",
            code=Exit.USAGE,
        )
    return 0


def env_update(target: Target, args: Namespace) -> int:
    """Add what environment files name, with pip what is for pip."""
    files = {name: _read(target, name) for name in args.file or ["environment.yml"]}
    named = [spec for file in files.values() for spec in file.specs]
    for name, file in files.items():
        if file.specs:
            wanted = list(named if args.prune else file.specs)
            _solve(target, args, wanted, list(file.channels), free=_names(wanted))
        if file.pip:
            _call(["pip", "install", *file.pip], {}, f"pip could not install what {name} names")
    return 0


def _read(target: Target, name: str) -> environment.Environment:
    """What a file asks for that a script has named."""
    readable = os.environ.get(READABLE, "")
    return environment.read(Path(name), target.arch, [Path(p) for p in readable.split(":") if p])


# -- the environment's own programs ------------------------------------------------------


def _call(line: Sequence[str], variables: Mapping[str, str], problem: str) -> None:
    """Run a command in the environment, or have it run there once this is done."""
    if FOLLOW in os.environ:
        words = ["env", *(f"{name}={value}" for name, value in variables.items()), *line]
        said = shlex.quote(f"tykky: {problem}")
        follow(f"{shlex.join(words)} || {{ echo {said} >&2; exit {int(Exit.BUILD)}; }}\n")
    elif subprocess.run(line, env={**os.environ, **variables}, check=False).returncode != 0:
        raise StepError(problem)


# -- the environment ----------------------------------------------------------------------


def _solve(
    target: Target,
    args: Namespace,
    wanted: Sequence[str],
    more: Sequence[str],
    *,
    free: Iterable[str] = (),
) -> None:
    """Solve for what is there and what is wanted, and make the environment so."""
    named = _names(wanted)
    kept = [
        spec
        for record in records(target)
        if record["name"] not in named and not getattr(args, "prune", False)
        for spec in record.get("requested_specs") or [record["name"]]
    ]
    override = getattr(args, "override_channels", False)
    names = [*more, *(() if override else target.channels)]
    strict = target.strict and not getattr(args, "no_channel_priority", False)
    sought = environment.Environment(channels=tuple(names), specs=(*kept, *wanted))
    sought, config = channels.taken_out(sought, target.config)
    target = replace(target, config=config)
    found = packages.solve(
        sought,
        _scene(target),
        subdir=target.subdir,
        virtual_packages=target.virtual_packages,
        strict=strict or getattr(args, "strict_channel_priority", False),
        prefix=str(target.prefix),
        free=sorted(free),
        freeze=getattr(args, "freeze_installed", False),
    )
    _apply(target, _part(target, found, named, args), args, specs=sought.specs)


def _scene(target: Target) -> Scene:
    """The box that this runs in, whose output takes what the engine prints."""
    return Scene(target.config, log=sys.stderr.buffer)


def _part(
    target: Target, found: Iterable[Package], named: set[str], args: Namespace
) -> list[Package]:
    """What of a solution is wanted: all, or only the packages named, or only the others."""
    present = {record["name"]: _package(record) for record in records(target)}
    if getattr(args, "no_deps", False):
        chosen = {package.name: package for package in found if package.name in named}
        return [*{**present, **chosen}.values()]
    if getattr(args, "only_deps", False):
        old = {name: package for name, package in present.items() if name in named}
        return [*(package for package in found if package.name not in named), *old.values()]
    return list(found)


def _apply(
    target: Target, wanted: Iterable[Package], args: Namespace, specs: Sequence[str] = ()
) -> None:
    """Make the environment consist of these packages, and say what that changes."""
    wanted = list(wanted)
    before = {_package(record).sha256: _package(record) for record in records(target)}
    if getattr(args, "dry_run", False):
        _tell(before.values(), wanted)
        return
    names, _ = packages.install(
        wanted,
        target.prefix,
        _scene(target),
        subdir=target.subdir,
        specs=specs,
        present=before,
    )
    new = {package.name for package in wanted if package.sha256 not in before}
    fresh = (name for name in names if name in new)
    for what, line, variables in packages.link_scripts(target.prefix, target.prefix, fresh):
        _call(line, variables, f"{what} has failed")
    if not args.quiet:
        _tell(before.values(), wanted)


def _tell(before: Iterable[Package], after: Iterable[Package]) -> None:
    old = {package.name: f"{package.version} {package.build}" for package in before}
    new = {package.name: f"{package.version} {package.build}" for package in after}
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            print(f"- {name} {old[name]}")
        elif name not in old:
            print(f"+ {name} {new[name]}")
        elif old[name] != new[name]:
            print(f"  {name} {old[name]} -> {new[name]}")


def _package(record: dict[str, Any]) -> Package:
    return Package(
        name=record["name"],
        version=record["version"],
        file=record["fn"],
        sha256=record["sha256"],
        size=record.get("size") or 0,
        build=record["build"],
        url=record["url"],
        license=record.get("license") or "",
    )


def _without(target: Target, replaced: Iterable[environment.Pinned]) -> list[Package]:
    names = {packages.name_of(p.url) for p in replaced}
    present = (_package(record) for record in records(target))
    return [package for package in present if package.name not in names]


def _names(specs: Iterable[str]) -> set[str]:
    """The names of packages in specs."""
    found = (_NAME.match(spec) for spec in specs)
    return {match[1].lower() for match in found if match}
