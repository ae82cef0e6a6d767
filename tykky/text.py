"""Text as people have it: what they write, in the encodings, shapes and sizes that there are.

Whatever somebody wrote by hand or had a program write is read here: UTF-8 with or without a mark,
UTF-16 with one (PowerShell), lines that end as Windows ends them. What cannot be read is refused
with its file, its line and a way out, and nothing waits, overflows or fills the memory.
"""

from __future__ import annotations

import codecs
import errno
import os
import re
import select
import shlex
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tykky.errors import ConfigError, Exit, TykkyError, Where
from tykky.files import open_regular

if TYPE_CHECKING:
    import yaml

#: More bytes than anybody writes.
LIMIT = 16 << 20
#: How deep YAML may be nested, and how many nodes it may be once its aliases are followed.
_DEPTH, _NODES = 50, 100_000

_MARKS = {  # that of UTF-16 is what that of UTF-32 begins with
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_bytes(path: Path) -> bytes:
    """What a file holds. Raises ``OSError``, also for what is no file and what is too large."""
    with open_regular(path) as stream:
        return whole(stream)


def whole(stream: BinaryIO) -> bytes:
    """What an open file holds. Raises ``OSError``, also for what is too large."""
    content = stream.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise OSError(errno.EFBIG, f"it has more than {LIMIT >> 20} MiB, and is no text")
    return content


def decoded(
    content: bytes,
    path: Path,
    kind: type[TykkyError] = ConfigError,
    *,
    any_bytes: bool = False,
) -> str:
    """The text that a file holds, with lines that end in a line feed.

    Raises an error of a ``kind``, with the line, for what is no text. With ``any_bytes``, those
    that are none stay what they are, as in the names of files (``surrogateescape``).
    """
    content = content.removeprefix(codecs.BOM_UTF8)
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding, "surrogateescape" if any_bytes else "strict")
        at = -1 if any_bytes else text.find("\0")
    except UnicodeDecodeError as error:
        text = content.decode(encoding, "replace")
        at = len(content[: error.start].decode(encoding, "replace"))
        if "\0" in text:  # that says more
            at = text.index("\0")
    if at >= 0:
        raise _no_text(text, at, path, encoding, kind)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _no_text(text: str, at: int, path: Path, encoding: str, kind: type[TykkyError]) -> TykkyError:
    """The error for a character that is none."""
    what, really, name = f"is not {encoding.upper()} text", "Latin-1", "latin1"
    if text[at : at + 1] == "\0":
        what, really, name = "has a byte 0 in it, which no text has", "UTF-16", "utf-16"
    line = text.split("\n")[text.count("\n", 0, at)]
    shown = re.sub("[\0-\x08\x0e-\x1f\x7f\ud800-\udfff]", "\ufffd", line)[:160]
    where = Where(path, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at) - 1, 1, shown)
    remedy = f"if it is {really}: iconv -f {name} -t utf-8 {shlex.quote(path.name)} > NEW"
    if encoding != "utf-8" or re.search("[\1-\x08\x0e-\x1f\x7f]", text[:4096]):
        remedy = "give a file of text, saved as UTF-8"
    return kind(f"{path.name} {what}", remedy=remedy, where=where)


def read_text(
    path: Path,
    what: str = "file",
    kind: type[TykkyError] = ConfigError,
    *,
    remedy: str = "",
    where: Where | None = None,
    code: Exit | None = None,
    any_bytes: bool = False,
) -> str:
    """The text of a file. Raises an error of a ``kind``; ``where`` is what names the file.

    ``code`` is for one that cannot be read at all.
    """
    try:
        content = read_bytes(path)
    except OSError as error:
        remedy = remedy or _REMEDIES.get(error.errno or 0, "give the path of a text file")
        cause = f"the {what} {path} cannot be read: {error.strerror or error}"
        raise kind(cause, remedy=remedy, where=where, code=code) from error
    return decoded(content, path, kind, any_bytes=any_bytes)


_REMEDIES = {
    errno.ENOENT: "check its name",
    errno.EACCES: "make it readable for yourself: chmod u+r, or ask its owner, whom 'ls -l' shows",
}


def drained(path: Path, patience: float = 2) -> bytes:
    """All that comes out of a pipe, as of ``<(...)`` of a shell. Raises ``OSError``.

    Nobody who writes anything for ``patience`` seconds is one: nothing is waited for.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        found, until = bytearray(), time.monotonic() + patience
        while len(found) <= LIMIT:
            block = stream.read(1 << 16)  # None: somebody writes, but has not yet
            found += block or b""
            if block == b"" and found:
                return bytes(found)
            if block == b"" and time.monotonic() > until:
                raise OSError(errno.ENODATA, "nobody writes anything into the pipe", str(path))
            if not block:
                select.select([stream] if block is None else [], [], [], 0.05)
    raise OSError(errno.EFBIG, f"it has more than {LIMIT >> 20} MiB, and is no text", str(path))


def entries(text: str, path: Path, kind: type[TykkyError]) -> Iterator[tuple[int, str]]:
    """The lines that have more than a comment: number and text. Comments may be in any encoding.

    Raises an error of a ``kind`` for a line that is no text.
    """
    at = 0
    for number, line in enumerate(text.split("\n"), 1):
        entry = re.sub(r"(^|\s)#.*", "", line)
        if strange := re.search("[\0\ud800-\udfff]", entry):
            raise _no_text(text, at + strange.start(), path, "utf-8", kind)
        if entry.strip():
            yield number, entry.strip()
        at += len(line) + 1


# -- YAML -------------------------------------------------------------------------------------


def compose(text: str, path: Path, kind: type[TykkyError], most: int = _NODES) -> yaml.Node | None:
    """The tree of a YAML text, with places; ``None`` for nothing. It has so many nodes at ``most``.

    Raises an error of a ``kind``, with the line, for what is no YAML or too much of it.
    """
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_size(yaml.parse(text, Loader=loader), most)
        node: yaml.Node | None = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        raise _syntax_error(path, text, error, kind) from error
    return node


def load_yaml(text: str, path: Path, kind: type[TykkyError], most: int = _NODES) -> Any:
    """What a YAML text says, as Python has it. Raises as :func:`compose`."""
    import yaml

    class Constructor(yaml.constructor.SafeConstructor):
        """One that knows the place of what it cannot make: a date such as 2024-99-99."""

        def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
            try:
                return super().construct_object(node, deep)
            except (ValueError, LookupError, OverflowError) as error:
                why, mark = str(error), node.start_mark
                raise yaml.constructor.ConstructorError(None, None, why, mark) from None

    if (node := compose(text, path, kind, most)) is None:
        return None
    try:
        return Constructor().construct_document(node)
    except yaml.YAMLError as error:
        raise _syntax_error(path, text, error, kind) from error


def _check_size(events: Iterator[yaml.Event], most: int) -> None:
    """Raise ``MarkedYAMLError`` for what is nested too deep, or grows too large by its aliases."""
    import yaml

    sizes: dict[str, int] = {}  # of what aliases stand for
    begun: list[tuple[str | None, int]] = []  # the anchor of what is not closed yet, and the count
    count = 0
    for event in events:
        why, mark = "", event.start_mark
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in (anchor for anchor, _ in begun):
                why = f"*{event.anchor} contains itself"
            count += sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = begun.pop()
            if anchor:
                sizes[anchor] = count - before
        elif isinstance(event, yaml.NodeEvent):
            count += 1
            if isinstance(event, yaml.CollectionStartEvent):
                begun.append((event.anchor, count - 1))
        if len(begun) > _DEPTH:
            why = f"it is nested deeper than {_DEPTH} levels"
        elif count > most:
            why = f"it has more than {most} entries, those that aliases repeat included"
        if why:
            raise yaml.MarkedYAMLError(problem=why, problem_mark=mark)  # type: ignore[arg-type]


def _syntax_error(
    path: Path, content: str, error: yaml.YAMLError, kind: type[TykkyError]
) -> TykkyError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    if mark is None:  # a character that no YAML may have: only its position is known
        line = content.encode()[: getattr(error, "position", 0)].count(b"\n") + 1
        where = Where(path, line, text="")
        remedy = "remove it: it may be one that editors do not show"
    else:
        text = next(islice(content.splitlines(), mark.line, None), "")
        where = Where(path, mark.line + 1, mark.column, 1, text)
        remedy = "correct the line"
        if "\t" in text:
            remedy = "write spaces instead of tabs: YAML allows no tab there"
        elif re.search(r":\s*\{", text):
            remedy = "put quotes around a value that starts with a brace"
    return kind(f"not valid YAML: {problem}", remedy=remedy, where=where)
