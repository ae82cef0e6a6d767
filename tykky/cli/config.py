"""Show and change the configuration, and tell where each value comes from.

Six scopes are read, and the last one that sets a key counts: defaults, system, site, user,
the environment (TYKKY_ROOT, TYKKY_SQUASH_LEVEL, ...), and the command line (-c KEY=VALUE).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from tykky import console
from tykky.cli.common import Result, said
from tykky.config import KEYS, Config, check_key, variable_of
from tykky.config import Setting as Origin
from tykky.errors import ConfigError, Exit, TykkyError

EXAMPLES = """\
  tykky config                                 all values, each with its scope
  tykky config get squash.level                one value
  tykky config set root /appl/tykky --scope site
  tykky config set repos /appl/recipes '{inherited}'
  tykky config why root                        who sets it, and who wins
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions get, set and why; without one, all values are shown."""
    actions = parser.add_subparsers(dest="action", metavar="get | set | why")
    get = actions.add_parser("get", help="print one value", description="Print one value.")
    _key(get)
    put = actions.add_parser(
        "set",
        help="set a key in the file of a scope",
        description="Set a key in the file of a scope. The value is checked before anything "
        "is written, and the rest of the file stays as it is.",
    )
    _key(put)
    put.add_argument("value", nargs="+", metavar="VALUE", help="the value; several for a list")
    put.add_argument(
        "--scope",
        choices=("user", "site", "system"),
        default="user",
        help="whose file to write (default: %(default)s)",
    )
    why = actions.add_parser(
        "why",
        help="show all scopes that set a key, and which wins",
        description="Show all scopes that set a key, in order; the last one counts.",
    )
    _key(why)


def _key(parser: argparse.ArgumentParser) -> None:
    # No `choices`: an unknown key is answered with a suggestion, see check_key.
    parser.add_argument("key", metavar="KEY", help="a key, such as squash.level")


def run(args: argparse.Namespace, config: Config) -> Result:
    """Carry out one action."""
    if args.action == "get":
        return _get(args, config)
    if args.action == "set":
        return _set(args, config)
    if args.action == "why":
        return _why(args, config)
    return _show(args, config)


def _plain(value: object) -> Any:
    """A value as JSON has it."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _shown(value: object) -> str:
    """A value as a person types it."""
    plain = _plain(value)
    if isinstance(plain, list):
        return "[" + ", ".join(map(str, plain)) + "]"
    if isinstance(plain, bool):
        return str(plain).lower()
    return "" if plain is None else str(plain)


def _origin(origin: Origin) -> dict[str, Any]:
    return {
        "scope": origin.scope,
        "place": origin.place,
        "path": _plain(origin.path),
        "line": origin.line or None,
        "raw": origin.raw,
    }


def _show(args: argparse.Namespace, config: Config) -> Result:
    values = {
        key: {"value": _plain(config.get(key)), **_origin(config.origin(key))} for key in KEYS
    }
    rows = []
    for key in KEYS:
        origin = config.origin(key)
        place = "" if origin.scope == "defaults" else origin.place
        rows.append((key, _shown(config.get(key)) or "-", origin.scope, place))
    return Result(values, lambda: console.table(rows, ("key", "value", "scope", "set by")))


def _get(args: argparse.Namespace, config: Config) -> Result:
    value = config.get(args.key)
    lines = [str(item) for item in value] if isinstance(value, tuple) else [_shown(value)]
    return Result(_plain(value), said(lines))


def _why(args: argparse.Namespace, config: Config) -> Result:
    chain = config.why(args.key)
    value = config.get(args.key)

    def show() -> None:
        console.say(f"{args.key} = {_shown(value)}")
        marks = (("=>" if origin is chain[-1] else "", origin) for origin in chain)
        console.table([(mark, o.scope, o.place, o.raw or '""') for mark, o in marks])

    origins = [_origin(origin) for origin in chain]
    return Result({"key": args.key, "value": _plain(value), "origins": origins}, show)


def _set(args: argparse.Namespace, config: Config) -> Result:
    from tykky.config.edit import edited, write_atomically
    from tykky.config.scopes import scope_files

    check_key(args.key)
    if len(args.value) > 1 and not KEYS[args.key].is_list:
        raise ConfigError(
            f"{args.key} takes one value, not {len(args.value)}",
            remedy="put quotes around a value with blanks",
        )
    path = scope_files(os.environ)[args.scope]
    content = edited(args.scope, path, _content(path), args.key, args.value)
    Config.check(args.scope, content.encode())
    write_atomically(path, content, 0o644)
    return _report(args, path)


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise TykkyError(
            f"cannot read {path}: {error.strerror}",
            remedy="ask who owns it, or set another scope",
            code=Exit.CONFIG,
        ) from error


def _report(args: argparse.Namespace, path: Path) -> Result:
    """Say what was written, and whether a later scope hides it."""
    now = Config.load()
    origin = now.origin(args.key)
    value = now.get(args.key)

    def show() -> None:
        console.note(f"set {args.key} in {path}")
        if origin.scope == args.scope:
            return
        console.warn(f"{origin.place} still wins: {args.key} = {_shown(value)}")
        if origin.scope == "environment":
            console.note(f"  unset {variable_of(args.key)} to use what the files say")

    answer = {"key": args.key, "path": str(path), "value": _plain(value)}
    return Result({**answer, "winner": _origin(origin)}, show)
