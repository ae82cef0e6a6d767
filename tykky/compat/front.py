"""What the four programs share: options, their meaning as values, and how errors are answered.

Public names: ``main``, ``verbs``, ``add_new``, ``add_update``, ``add_advanced``, ``add_prefix``,
``add_scripts``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky import console
from tykky.cli import answering
from tykky.compat.job import Job
from tykky.errors import Exit, TykkyError

if TYPE_CHECKING:
    from tykky.compat.classic import Classic
    from tykky.compat.settings import Values
    from tykky.store import Store

Subparsers = Any


def main(
    program: str,
    doc: str | None,
    add: Callable[[argparse.ArgumentParser], None],
    values_of: Callable[[argparse.Namespace], Values],
    kind: type[Classic],
    argv: Sequence[str] | None,
) -> int:
    """Run one of the programs; the return value is its exit code."""
    words = [*(sys.argv[1:] if argv is None else argv)]
    description = (doc or "").split("``: ", 1)[-1].splitlines()[0]
    parser = argparse.ArgumentParser(
        prog=program, description=description[:1].upper() + description[1:]
    )
    add(parser)

    def work() -> int:
        # Without arguments, these programs have always explained themselves.
        args = parser.parse_args(words or ["--help"])
        if os.environ.get("USE_COLOR", "yes") != "yes":
            os.environ["NO_COLOR"] = "1"
        with contextlib.ExitStack() as stack:
            return _run(program, args, values_of, kind, stack)

    return answering(work)


def _run(
    program: str,
    args: argparse.Namespace,
    values_of: Callable[[argparse.Namespace], Values],
    kind: type[Classic],
    stack: contextlib.ExitStack,
) -> int:
    from tykky.compat import old, settings
    from tykky.compat.making import check, make
    from tykky.config import Config
    from tykky.store import Store

    _set_pwd()
    verb = getattr(args, "command", "new")
    if verb is None:
        raise TykkyError(
            f"{program} is told neither to make a new installation nor to update one",
            remedy=f"'{program} new --help' and '{program} update --help' tell more",
            code=Exit.USAGE,
        )
    config = Config.load({})
    for warning in config.warnings:
        console.warn(warning)
    user = values_of(args) | _given(args)
    if file := getattr(args, "yaml", None):
        more = settings.read_user(Path(file))
        user = {**user, **more} if verb == "advanced" else {**more, **user}
        for key in settings.NO_EFFECT.keys() & more.keys():
            console.note(f"'{key}' has no effect: {settings.NO_EFFECT[key]}")
    user = _without_pipes(user, stack)
    site = settings.read_site()
    store = Store.of(config)
    before = None
    if verb == "update":
        prefix = old.find(Path(args.dir), kind).prefix
        store.check_outside(prefix)
        held = stack.enter_context(_claim(prefix, store))
        # Only now nobody else changes it.
        before = old.find(Path(args.dir), kind)
        user = old.inherit(before, user)
    values = settings.merge(site, user)
    if verb == "update":
        values |= old.kept(before)
    else:
        verb = "new"
        if not values.get("mask_wrap_install"):
            settings.settle_path(values)
    values["update_installation"] = verb == "update"
    prefix = before.prefix if before else _prefix(values)
    job = Job(program, verb, values, prefix, config, before)
    recipe = kind(job)
    check(job, recipe)
    if before is None:
        store.check_outside(prefix)
        held = stack.enter_context(_claim(prefix, store))
    record = make(recipe, store, held=held)
    if job.level >= 2:
        console.note(_ready(prefix, record.commands))
    return Exit.OK


def _claim(prefix: Path, store: Store) -> contextlib.AbstractContextManager[bool]:
    """Hold the lock of an installation; waits for whoever has it."""
    store.prepare()
    return store.claim(prefix, str(prefix), console.note)


def _set_pwd() -> None:
    """Let ``$PWD`` of configurations be this directory, whoever has started this and how."""
    here = Path.cwd()
    said = Path(os.environ.get("PWD", "/nonexistent"))
    if not said.is_dir() or not said.samefile(here):
        os.environ["PWD"] = str(here)


def _given(args: argparse.Namespace) -> Values:
    """The values of options that several programs have."""
    values: dict[str, Any] = {}
    if prefix := getattr(args, "prefix", None):
        values["installation_prefix"] = prefix
    for key in ("pre_install", "post_install"):
        if file := getattr(args, key, None):
            values[key] = [{"file": file}]
    if file := getattr(args, "environ", None):
        values["extra_envs"] = [{"file": file}]
    if paths := getattr(args, "wrapper_paths", None):
        values["wrapper_paths"] = [path for path in paths.split(",") if path]
    return values


def _without_pipes(values: Values, stack: contextlib.ExitStack) -> Values:
    """Files in the place of what can be read only once, as ``<(...)`` of a shell."""

    def whole(name: str, key: str) -> str:
        path = Path(name).expanduser()
        if not path.exists() or path.is_file() or path.is_dir():
            return name
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tykky-"))
        target = Path(folder, key.replace("_", "-"))
        target.write_bytes(path.read_bytes())
        return str(target)

    found = dict(values)
    for key in ("env_file", "requirements_file"):
        if key in found:
            found[key] = whole(found[key], key)
    for key in ("pre_install", "post_install", "extra_envs"):
        if key in found:
            found[key] = [
                {"file": whole(item["file"], key)}
                if isinstance(item, dict) and "file" in item
                else item
                for item in found[key]
            ]
    return found


def _prefix(values: Values) -> Path:
    """Where it is installed, without links on the way."""
    prefix = Path(values["installation_prefix"]).expanduser()
    try:
        return (Path.cwd() / prefix).resolve()
    except (OSError, RuntimeError) as error:
        raise TykkyError(
            f"the prefix {prefix} cannot be used: {error}",
            remedy="give another directory: --prefix DIR",
            code=Exit.NOT_WRITABLE,
        ) from None


def _ready(prefix: Path, commands: Sequence[str]) -> str:
    """What to do with what is ready, by name if activation finds that."""
    folders = (os.environ.get("TYKKY_PATH") or "").split(":")
    name = prefix.name if str(prefix.parent) in folders else str(prefix)
    return (
        f"installed in {prefix}: {console.plural(len(commands), 'command')}\n"
        f"use it: tykky activate {shlex.quote(name)}\n"
        f'or:     export PATH="{prefix}/bin:$PATH"'
    )


# -- options ------------------------------------------------------------------------------


def verbs(parser: argparse.ArgumentParser) -> Subparsers:
    """The parsers of the subcommands."""
    return parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")


def add_new(verbs: Subparsers, file: str, help: str) -> argparse.ArgumentParser:
    """The subcommand ``new`` with its file."""
    new: argparse.ArgumentParser = verbs.add_parser("new", help="make a new installation")
    new.add_argument(file, metavar=file.upper(), help=help)
    add_prefix(new)
    return new


def add_update(verbs: Subparsers) -> argparse.ArgumentParser:
    """The subcommand ``update`` with its directory."""
    update: argparse.ArgumentParser = verbs.add_parser("update", help="change an installation")
    update.add_argument("dir", metavar="DIR", help="the installation")
    return update


def add_advanced(verbs: Subparsers) -> None:
    """The subcommand ``advanced`` with its file."""
    advanced = verbs.add_parser("advanced", help="make a new installation from a YAML file")
    advanced.add_argument("yaml", metavar="YAML", help="the file with its settings")


def add_prefix(parser: argparse.ArgumentParser) -> None:
    """The option ``--prefix``."""
    help = "where to install (default: this directory); made if it is not there"
    parser.add_argument("--prefix", metavar="DIR", help=help)


def add_scripts(parser: argparse.ArgumentParser, *, scripts: bool = True) -> None:
    """The options with scripts, and the one with the programs to offer."""
    if scripts:
        help = "commands of bash that are run after everything is installed"
        parser.add_argument("--post-install", metavar="FILE", help=help)
        help = "commands of bash that are run before anything is installed"
        parser.add_argument("--pre-install", metavar="FILE", help=help)
    help = "commands of bash that are run before each command of the installation"
    parser.add_argument("--environ", metavar="FILE", help=help)
    help = "programs to offer, or directories of them, between commas"
    parser.add_argument("-w", "--wrapper-paths", metavar="LIST", help=help)
