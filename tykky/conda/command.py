"""``conda``, ``mamba`` and ``micromamba`` for scripts that call them while a stack is built.

They work on the environment of the stack, with the same engine as the stack itself, and know
what such scripts use. An option that is not understood is an error that names it, because
leaving out what it asks for would make another environment than the script wants.

``python -m tykky.conda.command conda install -y numpy``; the file that ``TYKKY_CONDA`` names says
which environment it is.
"""

from __future__ import annotations

import argparse
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from tykky import __version__
from tykky.conda import actions
from tykky.conda.target import VARIABLE, Target
from tykky.errors import Exit, TykkyError

_ONE = "the stack has one environment"
_UPDATE = "add to that: 'conda env update --file FILE'"
#: Commands of conda that scripts use, why they are not there, and what to write instead.
_ABSENT = (
    ("create", _ONE, "install into that: 'conda install PACKAGE'"),
    ("search", "it installs nothing", "look it up where you work, and name the version"),
    ("build", "the environment of a stack is made of packages", "build the package beforehand"),
)

_Action = Callable[[Target, argparse.Namespace], int]
_Verbs: TypeAlias = "argparse._SubParsersAction[_Parser]"
#: Names of options, or of words without one; the text about a switch, or what argparse is told.
_Options: TypeAlias = Mapping[str, str | Mapping[str, Any]]


class _OneOf(dict[str, str | Mapping[str, Any]]):
    """Options that exclude each other."""


_ANY: _Options = {"words": {"nargs": "*"}}
_PLACE = _OneOf(
    {
        "-n --name": {"help": "the name of the environment, which is the stack's"},
        "-p --prefix": {"help": "the path of the environment"},
    }
)
_QUIET: _Options = {
    "-y --yes": "nothing is asked anyway",
    "-q --quiet": "do not list what changes",
    "-v --verbose": {"action": "count", "help": "nothing more is said"},
    "--solver --experimental-solver": {"help": "there is one: rattler's"},
}
_REHEARSING: _Options = {"-d --dry-run": "only list what would change"}
_ADDING: _Options = {
    "-c --channel": {"action": "append", "default": [], "help": "ask this one first"},
    "--file": {"action": "append", "default": [], "help": "a file with more packages"},
    "-O --override-channels": "no channels but those of --channel",
    "--freeze-installed --no-update-deps": "do not touch what is there",
    "-S --satisfied-skip-solve": "what is there stays anyway",
    "packages": {"nargs": "*", "metavar": "SPEC"},
}
_PRIORITY = _OneOf(
    {
        "--strict-channel-priority": "an earlier channel hides what later ones have",
        "--no-channel-priority": "the newest version counts, whatever channel it is in",
    }
)
_PART = _OneOf(
    {"--no-deps": "these packages alone", "--only-deps": "only what these packages need"}
)
_CHANGING = (_PLACE, _QUIET, _REHEARSING, _ADDING, _PRIORITY, _PART)
_ALL: _Options = {"--all": "all packages"}
_REMOVING = (_PLACE, _QUIET, _REHEARSING, {"packages": {"nargs": "+", "metavar": "NAME"}})
_NAME: _Options = {"name": {"nargs": "?"}}
_FROM_FILE: _Options = {
    "-f --file": {"action": "append", "help": "default: environment.yml"},
    "--prune": "nothing but what the files name",
}
_EXPORTING: _Options = {
    "-f --file": {"help": "write it there"},
    "--no-builds": "names and versions only",
    "--from-history": "what was asked for only",
}
_JSON: _Options = {"--json": "as JSON"}
_INFORMING = _OneOf(
    {
        **_JSON,
        "--base": "where scripts find what they read",
        "-e --envs": "the one environment there is",
    }
)
_FORM = _OneOf({**_JSON, "-e --export": "as NAME=VERSION=BUILD", "--explicit": "as addresses"})
_LISTING: _Options = {
    "--md5": "with --explicit: these digests",
    "--sha256": "as it is anyway",
    "-f --full-name": "the whole name must match",
    "--no-pip": "conda packages only",
    "pattern": {"nargs": "?", "metavar": "REGEX"},
}
_PAIRS = {"nargs": 2, "action": "append", "default": [], "metavar": ("KEY", "VALUE")}
_CONFIGURING: _Options = {
    **dict.fromkeys(("--add", "--prepend", "--append", "--remove", "--set"), _PAIRS),
    "--env --system": "there is one place for it",
}
_CLEANING: _Options = dict.fromkeys(
    (
        *("-a --all", "-t --tarballs", "-p --packages", "-i --index-cache", "-y --yes"),
        *("-f --force-pkgs-dirs", "-q --quiet", "-l --logfiles", "-s --source-cache"),
    ),
    "nothing is left to clean",
)
_RUNNING: _Options = {
    "--no-capture-output --live-stream": "as it is anyway",
    "command": {"nargs": argparse.REMAINDER, "metavar": "COMMAND ..."},
}


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Name what is not understood, and say what to do about it."""
        words = message.replace("unrecognized arguments:", "the build has no option")
        sys.stderr.write(
            f"tykky: {self.prog}: {words}\n"
            "  while a stack is built, these commands know what is needed to change its "
            f"environment; '{self.prog} --help' lists it\n"
        )
        sys.exit(int(Exit.USAGE))


def main(words: Sequence[str] | None = None) -> int:
    """Run one command line; ``words`` begin with the name of the program."""
    words = sys.argv[1:] if words is None else words
    args = parser(words[0]).parse_args(words[1:])
    path = Path(os.environ[VARIABLE])
    with path.open("rb") as stream:
        kept: Target = pickle.load(stream)
    target = replace(kept, state=path)
    try:
        _check_place(args, target)
        action: _Action = args.action
        return action(target, args)
    except TykkyError as error:
        lines = [f"tykky: {words[0]}: {error.cause}", *(f"  {line}" for line in error.details)]
        lines += [str(error.where)] if error.where else []
        sys.stderr.write("\n".join([*lines, f"  {error.remedy}" if error.remedy else ""]) + "\n")
        return int(error.code)


def _check_place(args: argparse.Namespace, target: Target) -> None:
    """There is one environment: another name or prefix means another one."""
    for wanted, names in ((args.prefix, ()), (args.name, target.names)):
        same = wanted and os.path.realpath(wanted) == os.path.realpath(target.prefix)
        if wanted and not same and wanted not in names:
            raise TykkyError(
                f"there is no environment {wanted if '/' in wanted else repr(wanted)} to work on",
                remedy=f"leave it out: the environment of the stack, {target.prefix}, is active",
                code=Exit.USAGE,
            )


def parser(program: str) -> argparse.ArgumentParser:
    """The command line of ``conda``, ``mamba`` or ``micromamba``."""
    top = _Parser(prog=program, description=__doc__.partition("\n")[0])
    top.add_argument(
        "-V", "--version", action="version", version=f"{program} {__version__} of Tykky"
    )
    # What not all commands have.
    top.set_defaults(name=None, prefix=None, dry_run=False, quiet=False, prune=False)
    top.set_defaults(override_channels=False, freeze_installed=False)
    top.set_defaults(strict_channel_priority=False, no_channel_priority=False)
    top.set_defaults(no_deps=False, only_deps=False)
    verbs = top.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    for names, text, action, *options in (
        (("install",), "add packages", actions.install, *_CHANGING),
        (("update", "upgrade"), "take newer packages", actions.update, *_CHANGING, _ALL),
        (("remove", "uninstall"), "take packages away", actions.remove, *_REMOVING),
        (("list",), "list packages", actions.show, _PLACE, _FORM, _LISTING),
        (("info",), "tell about the environment", actions.info, _INFORMING),
        (("config",), "set channels and their priority", actions.configure, _CONFIGURING),
        (("clean",), "nothing: the cache is not part of the stack", actions.nothing, _CLEANING),
        (("run",), "run a command in the environment", actions.run, _PLACE, _RUNNING),
        (("activate",), "nothing: the environment is active", actions.nothing, _NAME),
        (("deactivate",), "nothing: there is no other environment", actions.nothing, _ANY),
    ):
        verb = _verb(verbs, names, text, action, options)
        if program != "conda" and _ADDING in options:
            verb.add_argument("-f", dest="file", action="append", help="the same as --file")
    for name in ("init", "shell", "shell.bash", "shell.posix"):
        verb = verbs.add_parser(
            name, prefix_chars="\0", add_help=False, help="nothing: see activate"
        )
        _add(verb, _ANY)
        verb.set_defaults(action=actions.nothing)
    for name, why, instead in _ABSENT:
        _refusing(verbs, f"{program} {name}", why, instead)
    env = verbs.add_parser("env", help="update from a file, list, export")
    below = env.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    update = (_PLACE, _QUIET, _FROM_FILE)
    _verb(below, ("update",), "add what a file names", actions.env_update, update)
    _verb(below, ("list",), "the one environment there is", actions.env_list, (_JSON,))
    _verb(below, ("export",), "print what would make it", actions.export, (_PLACE, _EXPORTING))
    for name in ("create", "remove"):
        _refusing(below, f"{program} env {name}", _ONE, _UPDATE)
    return top


def _verb(
    verbs: _Verbs, names: Sequence[str], text: str, action: _Action, options: Iterable[_Options]
) -> _Parser:
    verb = verbs.add_parser(names[0], aliases=names[1:], help=text, description=text)
    for group in options:
        _add(verb, group)
    verb.set_defaults(action=action)
    return verb


def _refusing(verbs: _Verbs, what: str, why: str, instead: str) -> None:
    """A command that is known and not there."""
    verb = verbs.add_parser(what.rpartition(" ")[2], prefix_chars="\0", add_help=False)
    _add(verb, _ANY)
    verb.set_defaults(action=actions.refuse, what=what, why=why, instead=instead)


def _add(verb: argparse._ActionsContainer, options: _Options) -> None:
    if isinstance(options, _OneOf):
        verb = verb.add_mutually_exclusive_group()
    for names, told in options.items():
        switch = {"action": "store_true", "help": told}
        verb.add_argument(*names.split(), **(switch if isinstance(told, str) else told))


if __name__ == "__main__":
    sys.exit(main())
