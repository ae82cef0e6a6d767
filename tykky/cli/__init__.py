"""The ``tykky`` program: finds the verb, imports only that, and answers errors.

The verb ``list`` is a module of this package and so hides the built-in name here.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Callable, Container, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from tykky import console
from tykky.errors import Exit, TykkyError, did_you_mean, told

if TYPE_CHECKING:
    from tykky.cli.common import Argument, Result

#: Every verb with its one line of help, in the groups in which ``tykky --help`` shows them.
VERBS: dict[str, dict[str, str]] = {
    "Recipes": {
        "list": "list the recipes there are",
        "info": "tell about a recipe and its installs",
        "create": "write a recipe, or make one of what you have",
        "edit": "open a recipe in your editor, and check it",
        "repo": "say where recipes come from: directories, and git",
        "lock": "resolve a recipe's packages into the lock beside it",
        "audit": "check every version and variant of recipes",
    },
    "Installing": {
        "install": "build a stack and publish its module",
        "apply": "make what is installed equal to a stack list",
        "builds": "tell of the builds of stack lists, follow or cancel them",
        "extend": "put packages of your own on top of a stack",
        "pull": "install what others have built, from a registry",
        "import": "install what is in a file of 'tykky bundle'",
        "update": "bring the packages of stacks up to date",
        "rollback": "go back to an earlier generation of a stack",
        "uninstall": "remove a stack and its module",
        "retire": "remove a version, with a module that names another",
        "gc": "delete for good what was uninstalled",
    },
    "Asking": {
        "find": "list what is installed",
        "which": "tell which installs have a package, a command or a file",
        "outdated": "tell which stacks are behind",
        "diff": "tell how two installs or locks differ",
        "graph": "tell which installs, bases and packages stand on which",
        "history": "tell what was done with a stack, or with all",
        "log": "show the build log of a stack",
        "sbom": "print the bill of materials of a stack",
        "module": "tell where the modulefiles are",
    },
    "Using": {
        "exec": "run a program inside of a stack",
        "shell": "start a shell inside of a stack",
        "test": "run the tests of recipes on what is installed",
        "mount": "let programs of the host look into a stack",
        "kernel": "offer the kernels of stacks to Jupyter",
    },
    "Keeping": {
        "default": "make a version the default of its name",
        "hide": "take versions from the lists of modules",
        "deprecate": "say that versions are to be left, and until when",
        "hold": "keep installs or generations for ever",
        "base": "list, pull and verify the images that stacks run on",
        "refresh": "make the commands and modules of stacks again",
        "squash": "make one image of a stack's layers",
        "relocate": "make installs work at another path, with the same images",
        "catalog": "make web pages that tell what is installed",
        "push": "send installs to a registry",
        "registry": "list what registries have",
        "bundle": "write stacks, or what builds them, into one file",
        "export": "write a stack into one file that runs without Tykky",
        "fetch": "fetch what stacks are built from, ahead of time",
        "verify": "check whether installs are what was installed",
        "sign": "sign installs with an ssh key",
        "rebuild": "prove that an install is what its inputs give",
        "reindex": "rebuild the database from the installs",
        "doctor": "check whether this machine can build and run stacks",
        "config": "show and change the configuration",
        "completion": "print the completion script for a shell",
    },
}

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_FLAT = {verb: line for group in VERBS.values() for verb, line in group.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; the return value is its exit code."""
    return answering(lambda: _run([*(sys.argv[1:] if argv is None else argv)]))


def answering(work: Callable[[], int]) -> int:
    """Do the work of a program, answer its errors, and return its exit code."""
    os.umask(os.umask(0o077) | 0o002)  # whoever has none lets nobody else write for all that
    _open_streams()
    for each in _SIGNALS:
        if signal.getsignal(each) is not signal.SIG_IGN:  # nohup keeps its meaning
            signal.signal(each, _on_signal)
    try:
        status = work()
    except BrokenPipeError:
        status = Exit.FAILED
    except (TykkyError, OSError) as error:
        problem = _told(error)
        console.error(problem)
        status = problem.code
    except KeyboardInterrupt as signalled:
        status = _told(signalled).code
        how = "stopped by a signal" if status == Exit.TERMINATED else "interrupted"
        console.note(f"tykky: {how}")
    console.flush()
    return int(status)


def _open_streams() -> None:
    """Give closed standard streams (``>&-``, some daemons) somewhere to lead.

    Otherwise the next file that is opened would become standard output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


class _Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP; a KeyboardInterrupt, so that everything cleans up the same way."""


def _on_signal(number: int, frame: FrameType | None) -> None:
    # The first signal ends the work; what follows must not disturb the cleaning up.
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt if number == signal.SIGINT else _Terminated


def _run(words: list[str]) -> int:
    """Run a verb. With ``--json``, its answer is one document, also if there is none."""
    try:
        return _do(words)
    except (TykkyError, OSError, KeyboardInterrupt) as error:
        if "--json" in words and not isinstance(error, BrokenPipeError):
            from tykky.cli.common import Result, envelope

            problem = _told(error)
            verb = next((word for word in words if word in _FLAT), "")
            console.json_out(envelope(verb, Result(code=problem.code, errors=(problem,))))
        raise


def _told(error: BaseException) -> TykkyError:
    """An error as the one that is told."""
    if isinstance(error, TykkyError | OSError):
        return told(error, "go on")
    code = Exit.TERMINATED if isinstance(error, _Terminated) else Exit.INTERRUPTED
    return TykkyError("interrupted", code=code)


def _do(words: list[str]) -> int:
    if words[:1] in (["activate"], ["deactivate"]):
        from tykky.resources import resource

        cause = f"'tykky {words[0]}' changes the shell, which only a function of the shell can do"
        setup = resource("share") / "setup-env.sh"
        remedy = f"first '. {setup}', which defines that function"
        raise TykkyError(cause, remedy=remedy, code=Exit.USAGE)
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    _check_verb(words)
    parser = build_parser(words)
    args, unknown = parser.parse_known_args(words)
    if unknown:
        remedy = f"'{' '.join(filter(None, ('tykky', args.verb)))} --help' shows the options"
        cause = f"unrecognized arguments: {' '.join(unknown)}"
        raise TykkyError(cause, remedy=remedy, code=Exit.USAGE)
    if args.verb is None:
        parser.print_help()
        return Exit.OK
    from tykky.cli.common import Call, envelope
    from tykky.config import Config

    config = Config.load(args.flags)
    for warning in config.warnings:
        console.warn(warning)
    call = Call(args, config)
    try:
        result: Result = args.run(call)
    except TykkyError:  # of several things some may be done
        call.settle()
        raise
    call.settle()
    if args.json:
        console.json_out(envelope(args.verb, result))
    else:
        result.show()
    return int(result.code)


def _check_verb(words: Sequence[str]) -> None:
    """Answer a misspelt verb with the one that was meant; argparse would list all."""
    pairs = zip(["", *words], words, strict=False)
    plain = (word for last, word in pairs if word[:1] != "-" and last not in ("--root", "-c"))
    verb = next(plain, None)
    if verb is not None and verb not in _FLAT:
        remedy = did_you_mean(verb, [*_FLAT]) or "'tykky --help' shows them all"
        raise TykkyError(f"there is no verb '{verb}'", remedy=remedy, code=Exit.USAGE)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        """Answer what cannot be understood."""
        self.print_usage(sys.stderr)
        raise TykkyError(message, remedy=f"'{self.prog} --help' shows the options", code=Exit.USAGE)


def build_parser(wanted: Container[str] = _FLAT) -> argparse.ArgumentParser:
    """The parser in which only the ``wanted`` verbs have arguments (and are imported)."""
    import tykky

    raw = argparse.RawDescriptionHelpFormatter
    epilog = ""
    for group, lines in VERBS.items():
        epilog += f"{group.lower()}:\n"
        epilog += "".join(f"  {verb:<12}{line}\n" for verb, line in lines.items())
    parser = _Parser(
        prog="tykky",
        usage="tykky [-h] [--version] [--root DIR] [-c KEY=VALUE] VERB ...",
        description="Software stacks for HPC systems: one image, ordinary commands, a module.",
        epilog=f"{epilog}\n'tykky VERB -h' shows the options and examples of a verb.\n"
        "'tykky activate NAME' and 'tykky deactivate' are there in shells that read setup-env.sh;\n"
        "'tykky doctor' says where that is.",
        formatter_class=raw,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"tykky {tykky.__version__}")
    flags: dict[str, str] = {}
    parser.set_defaults(flags=flags, json=False)
    _add_common(parser, flags)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", help=argparse.SUPPRESS, prog="tykky")
    for verb, line in _FLAT.items():
        if verb not in wanted:
            verbs.add_parser(verb)
            continue
        module = importlib.import_module(f"tykky.cli.{verb}")
        child = verbs.add_parser(
            verb,
            help=line,
            description=(module.__doc__ or "").strip(),
            epilog="examples:\n" + module.EXAMPLES,
            formatter_class=raw,
            allow_abbrev=False,
        )
        _add_common(child, flags, verb)
        _add(child, getattr(module, "ARGUMENTS", ()))
        run = getattr(module, "run", None)
        child.set_defaults(run=run)
        if actions := getattr(module, "ACTIONS", None):
            names = " | ".join(actions)
            after = child.add_subparsers(dest="action", metavar=names, required=run is None)
            for name, action in actions.items():
                each = after.add_parser(name, help=action.help, description=action.description)
                _add(each, action.arguments)
                _add_common(each, flags, verb)
                each.set_defaults(run=action.run)
    return parser


def _add(parser: argparse.ArgumentParser, arguments: Sequence[Argument]) -> None:
    for names, settings in arguments:
        parser.add_argument(*names, **settings)


def _add_common(parser: argparse.ArgumentParser, flags: dict[str, str], verb: str = "") -> None:
    """Options that stand before or after the verb; and what each verb has."""

    def collect(setting: str) -> None:
        key, equals, value = setting.partition("=")
        if not equals:
            parser.error(f"-c wants KEY=VALUE, not '{setting}'")
        flags[key] = value

    def add(name: str, help: str, **settings: Any) -> None:
        # Of several that are given, before and after the verb, each is to count.
        parser.add_argument(name, default=argparse.SUPPRESS, help=help, **settings)

    if verb:
        add("--json", "answer as JSON, in one document", action="store_true")
    add(
        "--root",
        "the root of the installs, or its name",
        metavar="DIR",
        type=lambda d: collect(f"root={d}"),
    )
    add("-c", "set a configuration key for this call", metavar="KEY=VALUE", type=collect)
