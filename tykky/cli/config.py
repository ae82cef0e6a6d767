"""Show and change the configuration, and tell where each value comes from.

Seven scopes are read, and the last one that sets a key counts: defaults, system, site, user, the
root's own root.yaml, the environment (TYKKY_ROOT, TYKKY_SQUASH_LEVEL, ...), and the command line
(-c KEY=VALUE).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tykky import console
from tykky.cli.common import Action, Call, Result, option, positional, said
from tykky.config import KEYS, Config, check_key, variable_of
from tykky.config import Setting as Origin
from tykky.errors import ConfigError, masked

EXAMPLES = """\
  tykky config                                 all values, each with its scope
  tykky config get squash.level                one value
  tykky config set root /appl/stacks --scope site
  tykky config set repos /appl/recipes '{inherited}'
  tykky config set licences.deny 'AGPL-*' SSPL-1.0    a list: one word for each entry
  tykky config why root                        who sets it, and who wins
"""


def _shown(value: object) -> str:
    """A value as a person types it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_item, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _item(value: object) -> str:
    return "=".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _origin(origin: Origin) -> dict[str, Any]:
    names = ("scope", "place", "path", "line", "raw", "other_root")
    facts = {name: getattr(origin, name) for name in names}
    return {**facts, "line": origin.line or None}


def run(call: Call) -> Result:
    """Show all values: what is done without an action."""
    values, rows = {}, []
    for key in KEYS:
        value, origin = call.config.get(key), call.config.origin(key)
        values[key] = {"value": value, **_origin(origin)}
        place = "" if origin.scope == "defaults" else origin.place
        rows.append((key, _shown(value) or "-", origin.scope, place))
    return Result(values, lambda: console.table(rows, ("key", "value", "scope", "set by")))


def _told(origin: Origin) -> str:
    """What a scope says, and why it does not count if it does not."""
    not_here = f"  (counts for the root {origin.other_root} only)" if origin.other_root else ""
    return (origin.raw or '""') + not_here


def _get(call: Call) -> Result:
    value = call.config.get(call.args.key)
    lines = [*map(_item, value)] if isinstance(value, tuple) else [_shown(value)]
    return Result(value, said(lines))


def _why(call: Call) -> Result:
    key = call.args.key
    chain, value = call.config.why(key), call.config.get(key)

    def show() -> None:
        console.say(f"{key} = {_shown(value)}")
        winner = call.config.origin(key)
        console.table([("=>" if o is winner else "", o.scope, o.place, _told(o)) for o in chain])

    origins = [_origin(origin) for origin in chain]
    return Result({"key": key, "value": value, "origins": origins}, show)


def _set(call: Call) -> Result:
    from tykky.config.edit import alone, edited, write_atomically
    from tykky.config.scopes import scope_files

    key, words, scope = call.args.key, call.args.value, call.args.scope
    check_key(key)
    if len(words) > 1 and not KEYS[key].is_list:
        cause = f"{key} takes one value, not {len(words)}"
        raise ConfigError(cause, remedy="put quotes around a value with blanks")
    path = scope_files(os.environ)[scope]
    with alone(path):
        content = edited(scope, path, _content(path), key, words)
        Config.check(scope, content.encode())
        secret = masked(content) != content
        write_atomically(path, content, 0o600 if secret and scope == "user" else 0o644)
    now = Config.load()  # a later scope may hide it
    origin, value = now.origin(key), now.get(key)

    def show() -> None:
        console.note(f"set {key} in {path}")
        if secret and path.stat().st_mode & 0o077:
            console.warn(f"{path} has a password or token in it, and others may read it")
            console.note(f"  'chmod 600 {path}', or write ${{VARIABLE}} for it")
        if origin.scope != scope:
            console.warn(f"{origin.place} still wins: {key} = {_shown(value)}")
        if origin.scope == "environment":
            console.note(f"  unset {variable_of(key)} to use what the files say")

    answer = {"key": key, "path": str(path), "value": value}
    return Result({**answer, "winner": _origin(origin)}, show)


def _content(path: Path) -> str:
    from tykky.text import read_text

    if not os.path.lexists(path):
        return ""
    remedy = "ask who owns it, or set another scope"
    return read_text(path, "configuration", ConfigError, remedy=remedy)


# No `choices`: an unknown key is answered with a suggestion, see check_key.
_KEY = positional("KEY", "a key, such as squash.level")
_SCOPE = option(
    "--scope",
    choices=("user", "site", "system"),
    default="user",
    help="whose file to write (default: %(default)s)",
)
ACTIONS = {
    "get": Action(_get, "print one value", [_KEY], "Print one value."),
    "set": Action(
        _set,
        "set a key in the file of a scope",
        [_KEY, positional("VALUE", "the value; several for a list", "+"), _SCOPE],
        "Set a key in the file of a scope. The value is checked before anything "
        "is written, and the rest of the file stays as it is.",
    ),
    "why": Action(
        _why,
        "show all scopes that set a key, and which wins",
        [_KEY],
        "Show all scopes that set a key, in order; the last one counts.",
    ),
}
