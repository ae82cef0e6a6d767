"""What ``conda`` commands in a box do to the environment of the stack, and tell of it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tykky import __version__
from tykky.conda import channels, environment, packages
from tykky.conda.process import Scene
from tykky.conda.target import FOLDER, FOLLOW, PROGRAMS, READABLE, Target, follow
from tykky.console import columns
from tykky.contents import Installed, of_environment, records
from tykky.errors import Exit, StepError, TykkyError
from tykky.lock import Package

#: Settings of conda that make no other environment.
_HARMLESS = (
    *("always_yes", "auto_activate_base", "auto_update_conda", "changeps1", "report_errors"),
    *("notify_outdated_conda", "quiet", "show_channel_urls", "solver", "auto_activate"),
    *("remote_connect_timeout_secs", "remote_max_retries", "remote_read_timeout_secs"),
)


def install(target: Target, args: Namespace) -> int:
    """Add packages; what is there stays as it is if it can."""
    files = [_read(target, name) for name in args.file]
    wanted = [*args.packages, *(spec for file in files for spec in file.specs)]
    more = [*args.channel, *(name for file in files for name in file.channels)]
    if pinned := tuple(one for file in files for one in file.pinned):
        asked = environment.Environment(pinned=pinned)
        asked, config = channels.taken_out(asked, target.config)
        added = packages.pinned(asked.pinned, target.subdir, config)
        kept = _present(target, but={package.name for package in added})
        _apply(replace(target, config=config), [*kept.values(), *added], args)
    if wanted or not pinned:
        _solve(
            target,
            args,
            wanted,
            more,
            free=environment.names_of(wanted) if args.freeze_installed else (),
        )
    return 0


def update(target: Target, args: Namespace) -> int:
    """Take newer versions of some packages, or of all."""
    present = _present(target)
    wanted = list(present) if args.all else args.packages
    _check_present(environment.names_of(wanted), present)
    _solve(target, args, wanted, args.channel, free=environment.names_of(wanted))
    return 0


def remove(target: Target, args: Namespace) -> int:
    """Take packages away, and those that need them."""
    needs = {
        record["name"]: environment.names_of(record.get("depends", ()))
        for record in records(target.prefix)
    }
    gone: set[str] = set()
    more = set(args.packages)
    _check_present(more, needs)
    while more - gone:
        gone |= more
        more = {name for name, needed in needs.items() if needed & gone}
    _apply(target, [*_present(target, but=gone).values()], args)
    return 0


def _check_present(wanted: set[str], present: Iterable[str]) -> None:
    for name in sorted(wanted.difference(present)):
        remedy = "'conda list' shows what there is, and 'conda install' adds to it"
        if name in PROGRAMS:
            remedy = "leave it out: the command is part of the build, and not of the environment"
        raise StepError(
            f"there is no package '{name}' in the environment",
            remedy=remedy,
            code=Exit.UNKNOWN_PACKAGE,
        )


def configure(target: Target, args: Namespace) -> int:
    """Set channels and their priority for the commands that follow."""
    names, strict = target.channels, target.strict
    for key, value in args.set:
        if key == "channel_priority" and value in ("strict", "disabled", "false"):
            strict = value == "strict"
        elif key not in _HARMLESS:
            raise _no_setting(key if key != "channel_priority" else f"{key} {value}")
    for change in ("add", "prepend", "append", "remove"):
        for key, value in getattr(args, change):
            if key != "channels":
                raise _no_setting(key)
            names = tuple(name for name in names if name != value)
            if change != "remove":
                names = (*names, value) if change == "append" else (value, *names)
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


def env_update(target: Target, args: Namespace) -> int:
    """Add what environment files name, with pip what is for pip."""
    files = {name: _read(target, name) for name in args.file or ["environment.yml"]}
    named = [spec for file in files.values() for spec in file.specs]
    for name, file in files.items():
        if file.specs:
            wanted = named if args.prune else file.specs
            _solve(target, args, wanted, file.channels, free=environment.names_of(wanted))
        if file.pip:
            _call(["pip", "install", *file.pip], {}, f"pip could not install what {name} names")
    return 0


def _read(target: Target, name: str) -> environment.Environment:
    """What a file asks for that a script has named."""
    readable = os.environ.get(READABLE, "")
    return environment.read(Path(name), target.arch, [Path(p) for p in readable.split(":") if p])


def _call(line: Sequence[str], variables: Mapping[str, str], problem: str) -> None:
    """Run a command in the environment, or have it run there once this is done."""
    if FOLLOW in os.environ:
        words = ["env", *(f"{name}={value}" for name, value in variables.items()), *line]
        said = shlex.quote(f"tykky: {problem}")
        follow(f"{shlex.join(words)} || {{ echo {said} >&2; exit {int(Exit.BUILD)}; }}\n")
    elif subprocess.run(line, env={**os.environ, **variables}, check=False).returncode != 0:
        raise StepError(problem)


# -- the packages -------------------------------------------------------------------------


def _solve(
    target: Target,
    args: Namespace,
    wanted: Sequence[str],
    more: Sequence[str],
    *,
    free: Iterable[str],
) -> None:
    """Solve for what is there and what is wanted, and make the environment so."""
    named = environment.names_of(wanted)
    kept = [
        spec
        for record in records(target.prefix)
        if record["name"] not in named and not args.prune
        for spec in record.get("requested_specs") or [record["name"]]
    ]
    sought, config = channels.taken_out(
        environment.Environment(
            channels=(*more, *(() if args.override_channels else target.channels)),
            specs=(*kept, *wanted),
        ),
        target.config,
    )
    target = replace(target, config=config)
    found = packages.solve(
        sought,
        _scene(target),
        subdir=target.subdir,
        virtual_packages=target.virtual_packages,
        strict=args.strict_channel_priority or (target.strict and not args.no_channel_priority),
        prefix=str(target.prefix),
        free=sorted(free),
        freeze=args.freeze_installed,
    )
    if args.no_deps:
        chosen = {package.name: package for package in found if package.name in named}
        found = tuple({**_present(target), **chosen}.values())
    elif args.only_deps:
        needed = [package for package in found if package.name not in named]
        old = [package for name, package in _present(target).items() if name in named]
        found = (*needed, *old)
    _apply(target, found, args, specs=sought.specs)


def _scene(target: Target) -> Scene:
    """The box that this runs in, whose output takes what the engine prints."""
    return Scene(target.config, log=sys.stderr.buffer)


def _apply(
    target: Target, wanted: Sequence[Package], args: Namespace, specs: Sequence[str] = ()
) -> None:
    """Make the environment consist of these packages, and say what that changes."""
    before = _present(target)
    if not args.dry_run:
        present = {package.sha256 for package in before.values()}
        names, _ = packages.install(
            wanted,
            target.prefix,
            _scene(target),
            subdir=target.subdir,
            specs=specs,
            present=present,
        )
        new = {package.name for package in wanted if package.sha256 not in present}
        fresh = (name for name in names if name in new)
        for what, line, variables in packages.link_scripts(target.prefix, target.prefix, fresh):
            _call(line, variables, f"{what} has failed")
    if args.dry_run or not args.quiet:
        _tell(before.values(), wanted)


def _tell(before: Iterable[Package], after: Iterable[Package]) -> None:
    old, new = ({p.name: f"{p.version} {p.build}" for p in each} for each in (before, after))
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            print(f"- {name} {old[name]}")
        elif name not in old:
            print(f"+ {name} {new[name]}")
        elif old[name] != new[name]:
            print(f"  {name} {old[name]} -> {new[name]}")


def _present(target: Target, but: Iterable[str] = ()) -> dict[str, Package]:
    """The packages that the environment has, by name."""
    return {
        record["name"]: Package(
            name=record["name"],
            version=record["version"],
            file=record["fn"],
            sha256=record["sha256"],
            size=record.get("size") or 0,
            build=record["build"],
            url=record["url"],
            license=record.get("license") or "",
        )
        for record in records(target.prefix)
        if record["name"] not in but
    }


# -- what changes nothing -----------------------------------------------------------------


def show(target: Target, args: Namespace) -> int:
    """List the packages of the environment, those of pip as well."""
    if args.explicit:
        digest = "md5" if args.md5 else "sha256"
        lines = [f"{each['url']}#{each.get(digest) or ''}" for each in records(target.prefix)]
        print("\n".join(["@EXPLICIT", *lines]))
        return 0
    pattern = re.compile(args.pattern or "")
    is_meant = pattern.fullmatch if args.full_name else pattern.search
    found = [
        replace(package, build=package.build or "pypi_0")
        for package in _installed(target)
        if is_meant(package.name) and not (args.no_pip and package.channel == "pypi")
    ]
    if args.json:
        print(json.dumps([_row(package, target) for package in found], indent=1))
    elif args.export:
        print("\n".join(f"{p.name}={p.version}={p.build}" for p in found))
    else:
        rows = [(p.name, p.version, p.build, p.channel) for p in found]
        print(f"# packages in environment at {target.prefix}:\n#")
        print(*columns([("# Name", "Version", "Build", "Channel"), *rows]), sep="\n")
    return 0


def _installed(target: Target) -> Iterator[Installed]:
    return of_environment(target.prefix, lambda url: channels.name_of(url, target.config))


def _row(package: Installed, target: Target) -> dict[str, str]:
    """A package with the keys that conda has for it."""
    return {
        "name": package.name,
        "version": package.version,
        "build_string": package.build,
        "channel": package.channel,
        "dist_name": f"{package.name}-{package.version}-{package.build}",
        "license": package.license,
        "platform": "pypi" if package.channel == "pypi" else target.subdir,
    }


def info(target: Target, args: Namespace) -> int:
    """Tell about the environment; the base has no more than files that scripts read."""
    named = [channels.public(name) for name in target.channels]
    if args.base:
        print(FOLDER)
    elif args.json:
        facts = {
            "active_prefix": str(target.prefix),
            "active_prefix_name": target.names[0],
            "channels": named,
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
        print(f"channels : {', '.join(named)}\nplatform : {target.subdir}")
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

    found = list(records(target.prefix))
    if args.from_history:
        specs = [spec for record in found for spec in record.get("requested_specs", ())]
    else:
        keys = ("name", "version") if args.no_builds else ("name", "version", "build")
        specs = ["=".join(record[key] for key in keys) for record in found]
    pip = [f"{p.name}=={p.version}" for p in _installed(target) if p.channel == "pypi"]
    data = {
        "name": target.names[0],
        "channels": [*map(channels.public, target.channels), "nodefaults"],
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
