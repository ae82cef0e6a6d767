"""Setting one key in a configuration file, with the rest of the file left as it is.

The text is edited, not written anew, so that comments and order stay. Whatever comes out is
parsed again and compared before it is written: a file that the edit does not understand is
refused, never damaged.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import yaml

from tykky.config import Config
from tykky.config.schema import KEYS
from tykky.config.scopes import INHERITED, NONE, Setting, parse, scope_files
from tykky.errors import ConfigError, Exit, TykkyError
from tykky.text import read_text


def edited(scope: str, path: Path, content: str, key: str, values: Sequence[str]) -> str:
    """The content of a scope's file with ``key`` set to ``values`` (one, or a list's items).

    Raises ConfigError if the file is not valid as it is, or is written in a way that only a
    person can edit.
    """
    before = _by_key(parse(scope, path, content.encode()))
    values = () if KEYS[key].is_list and [*values] == [NONE] else values
    wanted = tuple(values) if KEYS[key].is_list else values[0]
    written = ", ".join(map(_scalar, values))
    if KEYS[key].is_list:
        written = f"[{written}]"
    after_text = _with(content, key, written)
    try:
        after = _by_key(parse(scope, path, after_text.encode()))
    except ConfigError:
        after = {}
    if after != {**before, key: wanted}:
        raise ConfigError(
            f"cannot set {key} in {path} without changing other lines",
            remedy=f"edit the file by hand: {key} is {written}",
        )
    return after_text


def change_list(key: str, scope: str, change: Callable[[tuple[str, ...]], Sequence[str]]) -> Path:
    """Change what a scope's file makes of a list, also while others do; the file's path.

    ``change`` is given the items; of a file that does not set the list, what it inherits. Raises
    ``TykkyError``, with the old file intact.
    """
    path = scope_files(os.environ)[scope]
    with alone(path):
        content = read_text(path, "configuration", ConfigError) if os.path.lexists(path) else ""
        own = _by_key(parse(scope, path, content.encode())).get(key, (INHERITED,))
        values = tuple(change(tuple(own)))
        after = edited(scope, path, content, key, values or (NONE,))
        Config.check(scope, after.encode())
        write_atomically(path, after, 0o644)
    return path


def put_first(key: str, item: str) -> Path:
    """Let a list begin with an item in the user's file, whose path is the answer.

    Raises ``TykkyError``.
    """
    return change_list(key, "user", lambda own: (item, *own))


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock on the folder of a file that is to be read and written, if there can be one."""
    number = -1
    try:
        with contextlib.suppress(OSError):  # which whoever writes says better
            path.parent.mkdir(parents=True, exist_ok=True)
            number = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        if number >= 0:
            os.close(number)


def _by_key(settings: Sequence[Setting]) -> dict[str, str | tuple[str, ...]]:
    return {setting.key: setting.value for setting in settings}


def _with(content: str, key: str, written: str) -> str:
    """The edit itself: replace the value, or add a line to the section or the file."""
    # The reader in Python counts characters; the one in C is free to count something else.
    root = yaml.compose(content, Loader=yaml.SafeLoader)
    section, _, name = key.rpartition(".")
    if root is None:
        body = f"{section}:\n  {name}: {written}" if section else f"{name}: {written}"
        return _appended(content, body)
    parent, body = root, f"{name}: {written}"
    if section:
        found = _entry(root, section)
        if found is None:
            return _added(content, root, f"{section}:\n  {body}", f"{section}: {{{body}}}")
        section_name, parent = found
        if not isinstance(parent, yaml.MappingNode):
            return _inserted(content, section_name.end_mark.line, "  " + body)
    entry = _entry(parent, name)
    if entry is None:
        return _added(content, parent, body, body)
    return _replaced(content, *entry, written)


def _entry(mapping: yaml.Node, name: str) -> tuple[yaml.Node, yaml.Node] | None:
    return next(((key, value) for key, value in mapping.value if key.value == name), None)


def _replaced(content: str, name: yaml.Node, value: yaml.Node, written: str) -> str:
    start, end = value.start_mark.index, value.end_mark.index
    if isinstance(value, yaml.SequenceNode) and not _in_brackets(value):
        # A list with one item a line: it goes to the line of its name.
        start = name.end_mark.index + 1
        end = value.value[-1].end_mark.index
    end = start + len(content[start:end].rstrip())
    # An empty value's place is right behind the colon.
    blank = "" if content[start - 1 : start] == " " else " "
    return content[:start] + blank + written + content[end:]


def _added(content: str, mapping: yaml.Node, block: str, flow: str) -> str:
    """One more entry at the end of a mapping, which may be written in braces."""
    if _in_brackets(mapping):
        end = mapping.end_mark.index - 1
        comma = ", " if mapping.value else ""
        return f"{content[:end].rstrip()}{comma}{flow}{content[end:]}"
    last_name, last = mapping.value[-1]
    column = last_name.start_mark.column
    indented = "\n".join(" " * column + line for line in block.split("\n"))
    if column == 0:
        return _appended(content, indented)
    while isinstance(last.value, list) and last.value and not _in_brackets(last):
        last = last.value[-1][1] if isinstance(last.value[-1], tuple) else last.value[-1]
    return _inserted(content, last.end_mark.line, indented)


def _in_brackets(node: yaml.Node) -> bool:
    return bool(getattr(node, "flow_style", False))


def _inserted(content: str, line: int, text: str) -> str:
    """``text`` as a line of its own after the line with this number, counted from 0."""
    lines = content.split("\n")
    return "\n".join([*lines[: line + 1], text, *lines[line + 1 :]])


def _appended(content: str, text: str) -> str:
    end = "" if not content or content.endswith("\n") else "\n"
    return f"{content}{end}{text}\n"


def _scalar(value: str) -> str:
    """A value as YAML, in quotes unless it is one plain word that means itself."""
    if re.fullmatch(r"[A-Za-z0-9/][A-Za-z0-9/._+@-]*", value) and value.lower() != "null":
        return value
    return json.dumps(value, ensure_ascii=False)


def write_atomically(path: Path, content: str, mode: int) -> None:
    """Replace a file by one with this content; a crash leaves the old one or the new one.

    A link is followed. ``mode`` is that of a new file; an old one keeps its own. Raises
    TykkyError (not writable, no space) with the old file intact.
    """
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            mode = target.stat().st_mode & 0o7777
        number, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as stream:
                stream.write(content)
                os.fchmod(stream.fileno(), mode)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise TykkyError(
            f"cannot write {target}: {error.strerror}",
            remedy="free some space" if full else "ask who owns it, or set another scope",
            code=Exit.NO_SPACE if full else Exit.NOT_WRITABLE,
        ) from error
