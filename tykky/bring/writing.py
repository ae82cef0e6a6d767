"""The text of a recipe: what was found, as Python that is good to read and quoted in every part."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tykky.bring.found import Found, Left
from tykky.errors import masked
from tykky.resources import resource

#: The longest line, and how far the body of a class and of a method are indented, in characters.
_LINE, _CLASS, _METHOD = 100, " " * 4, " " * 8
#: The longest piece of a text that no line can hold.
_PIECE = 76
#: The kinds that there are templates for.
KINDS = ("pip", "conda", "container", "disk")
#: What is said of that which no recipe can say.
LEFT = "Not carried over, or not known"
#: What no class can be called.
_WORDS = ("None", "True", "False")
#: How many texts a field has at most on one line.
_FEW = 4


def recipe(name: str, found: Found, version: str = "") -> str:
    """The text of the recipe of this name, as ``ruff format`` would leave it."""
    fields = {
        "homepage": plain(str(found.fields.get("homepage", ""))),
        "license": plain(str(found.fields.get("license", ""))),
        "versions": version
        or re.sub(r"[^\w.-]+", "-", found.version, flags=re.A).strip("-._")
        or "1",
        **{k: v for k, v in found.fields.items() if k not in ("homepage", "license", "versions")},
    }
    about = found.about or f"{name}, as it was found."
    lines = [f"from tykky import {found.kind}", "", "", f"class {_class(name)}({found.kind}):"]
    lines += [*_docstring(about), ""]
    for field, value in fields.items():
        lines += _assignment(field, value)
    lines += _left(found.left)
    if found.tests:
        lines += ["", f"{_CLASS}def test(self, box):"]
        lines += [f"{_METHOD}# Add what users do first: if it fails, nothing is installed."]
        lines += [line for command in found.tests for line in _run(command)]
    return "\n".join([*lines, ""])


def template(kind: str, name: str, version: str = "") -> str:
    """The text of a recipe to fill in, with comments that say what there is to decide."""
    plain = (resource("share") / "recipes" / f"{kind}.py.in").read_text(encoding="utf-8")
    words = {"@NAME@": name, "@CLASS@": _class(name), "@VERSION@": version or "1.0"}
    return re.sub("@[A-Z]+@", lambda found: words[found[0]], plain)


def _class(name: str) -> str:
    """The name of the class: ``python-data`` is ``PythonData``."""
    words = re.split("[^A-Za-z0-9]+", name)
    joined = "".join(word[:1].upper() + word[1:] for word in words)
    if not joined[:1].isalpha():
        return f"Stack{joined}"
    # Neither a word of Python nor what a recipe imports.
    return f"{joined}Recipe" if joined in _WORDS or joined.endswith("Stack") else joined


def plain(text: str) -> str:
    """A text on one line, of characters that can be seen, without passwords."""
    # Nothing that stands for a password either: a recipe that seems to have one is refused.
    line = re.sub(r"\*\*\*@|=\*\*\*|(?<=/t)/\*\*\*|\*\*\*", "", " ".join(masked(text).split()))
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


def literal(text: str) -> str:
    """A text as a literal of Python, with the quotes that need fewer backslashes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    parts = ("\\" + c if c in (quote, "\\") else c if c.isprintable() else _escape(c) for c in text)
    return quote + "".join(parts) + quote


def _escape(character: str) -> str:
    return repr(character)[1:-1]


def _docstring(text: str) -> list[str]:
    """The docstring: a line that says it, and what else there is in paragraphs."""
    text = text.replace('"', "'").replace("\\", "/")
    first, *rest = [plain(part) for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]
    head = textwrap.shorten(first, _LINE - len(_CLASS) - 6, placeholder=" ...")
    head = head if len(head) > 4 else first[: _LINE - len(_CLASS) - 6]
    rest = [first, *rest] if head != first else rest
    lines = [f'"""{head}']
    for part in rest:
        lines += ["", *textwrap.wrap(part, _LINE - len(_CLASS), break_on_hyphens=False)]
    closing = ['"""'] if rest else []
    lines = [*lines, *closing] if rest else [f'{lines[0]}"""']
    return [f"{_CLASS}{line}".rstrip() for line in lines]


def _assignment(name: str, value: object) -> Iterator[str]:
    """A field and its value; nothing for one that says nothing."""
    start = f"{_CLASS}{name} = "
    if isinstance(value, str):
        yield from _text(start, value)
    elif isinstance(value, Mapping):
        pairs = [(literal(str(key)), str(text)) for key, text in value.items()]
        line = start + "{" + ", ".join(f"{key}: {literal(text)}" for key, text in pairs) + "}"
        if len(pairs) <= _FEW and len(line) <= _LINE:
            yield line
            return
        yield start + "{"
        for key, text in pairs:
            yield from _text(f"{_METHOD}{key}: ", text, ",")
        yield f"{_CLASS}}}"
    elif isinstance(value, tuple | list):
        yield from _tuple(start, [str(each) for each in value])
    elif value is not None:
        yield f"{start}{value!r}"


def _tuple(start: str, texts: Sequence[str]) -> Iterator[str]:
    line = start + ", ".join(map(literal, texts))
    if not texts:
        yield f"{start}()"
    elif len(texts) == 1:
        yield from _text(start, texts[0])
    elif len(texts) <= _FEW and len(line) <= _LINE:
        yield line
    else:
        yield f"{start}("
        for text in texts:
            yield from _text(_METHOD, text, ",")
        yield f"{_CLASS})"


def _text(start: str, text: str, end: str = "") -> Iterator[str]:
    """A text behind ``start``: on its line, or else in pieces that are put together."""
    whole = literal(text)
    if len(start) + len(whole) + len(end) <= _LINE:
        yield f"{start}{whole}{end}"
        return
    indent = " " * (len(start) - len(start.lstrip()))
    yield f"{start}("
    for piece in _pieces(text):
        yield f"{indent}    {literal(piece)}"
    yield f"{indent}){end}"


def _pieces(text: str) -> Iterator[str]:
    """The pieces of a text for one line each, parted behind blanks where there are some."""
    while text:
        size = _PIECE
        while size > 1 and len(literal(text[:size])) > _PIECE + 2:
            size -= 1
        if len(text) > size and (blank := text.rfind(" ", size // 2, size)) >= 0:
            size = blank + 1
        yield text[:size]
        text = text[size:]


def _run(command: str) -> Iterator[str]:
    line = f"{_METHOD}box.run({literal(command)})"
    if len(line) <= _LINE:
        yield line
        return
    yield f"{_METHOD}box.run("
    for piece in _pieces(command):
        yield f"{_METHOD}    {literal(piece)}"
    yield f"{_METHOD})"


def _left(left: Iterable[Left]) -> Iterator[str]:
    """What is not carried over, as comments below the fields."""
    for number, each in enumerate(left):
        if number == 0:
            yield from ("", f"{_CLASS}# {LEFT}:")
        text = f"- {said(each)}"
        yield from textwrap.wrap(
            text,
            _LINE,
            initial_indent=f"{_CLASS}# ",
            subsequent_indent=f"{_CLASS}#   ",
            break_on_hyphens=False,
        )


def said(left: Left) -> str:
    """What is not carried over, in one line: ``requirements.txt:3: -e .: a directory ...``."""
    return ": ".join(filter(None, parts(left)))


def parts(left: Left) -> tuple[str, str]:
    """What is not carried over with its place, and why."""
    place = f"{left.file}:{left.line}" if left.line else left.file
    return ": ".join(filter(None, map(plain, (place, left.what)))), plain(left.why)
