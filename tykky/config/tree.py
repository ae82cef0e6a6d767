"""A configuration file as a tree of texts with their places.

Two readers give the same tree. ``read_plain`` knows the few shapes that nearly all
configuration files consist of, and nothing else; whatever it does not know goes to PyYAML
(``read_yaml``). It is there because every command of Tykky reads its configuration, and
importing PyYAML takes several times as long as all the rest of that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from tykky.errors import ConfigError
from tykky.text import compose, decoded

if TYPE_CHECKING:
    import yaml


class Text(NamedTuple):
    """A word of a file; empty for YAML's null. ``line`` counts from 1, columns from 0."""

    text: str
    line: int
    column: int
    width: int


class Items(NamedTuple):
    """A list of plain texts."""

    texts: tuple[Text, ...]


class Entry(NamedTuple):
    """One ``name: value`` of a section."""

    name: Text
    value: Value


class Section(NamedTuple):
    """A mapping, its entries in the order of the file."""

    entries: tuple[Entry, ...]


#: None is a shape that no key has, such as a list of lists.
Value: TypeAlias = Text | Items | Section | None


def read_tree(path: Path, content: bytes) -> Value:
    """The tree of a file's content; raises ConfigError with the line if it is not YAML."""
    text = decoded(content, path, ConfigError)
    plain = read_plain(text)
    return read_yaml(path, text) if plain is None else plain


# Values whose meaning needs no thought: no escapes, no words for null, nothing over two lines.
_VALUE = r"""(?P<value>"[^"\\]*"|'[^']*'|\[\]|(?!(?:null|Null|NULL)\b)[\w/.][\w/.:+@%=-]*(?<!:))"""
_LINE = re.compile(
    rf"(?P<indent> *)(?:(?P<name>[a-z][a-z0-9_]*):|-(?= ))(?: +{_VALUE})? *(?: #.*)?"
)
_BLANK = re.compile(r" *(?:#.*)?")
_FOREIGN = re.compile(r"[^\x20-\x7e\n]")


def read_plain(content: str) -> Section | None:
    """The tree of a file that uses plain shapes only, or None.

    They are comments, ``name: value``, sections and lists with one entry a line below their
    name; values plain, or in quotes without escapes, or ``[]``.
    """
    if _FOREIGN.search(content):
        return None
    # Each entry of the top level, and what stands below its name: how deep, and whether named.
    heads: list[tuple[Text, Text | Items | None]] = []
    below: list[list[tuple[int, Text | None, Text | Items | None]]] = []
    for number, text in enumerate(content.split("\n"), 1):
        if _BLANK.fullmatch(text):
            continue
        found = _LINE.fullmatch(text)
        if found is None:
            return None
        name: Text | None = None
        value: Text | Items | None = None
        written = found["value"]
        if found["name"]:
            name = Text(found["name"], number, found.start("name"), len(found["name"]))
        if written == "[]":
            value = Items(())
        elif written is not None:
            word = written[1:-1] if written[0] in "\"'" else written
            value = Text(word, number, found.start("value"), len(written))
        if name and not found["indent"]:
            heads.append((name, value))
            below.append([])
        elif heads:
            below[-1].append((len(found["indent"]), name, value))
        else:
            return None
    entries = [_plain_entry(*head, lines) for head, lines in zip(heads, below, strict=True)]
    known = tuple(entry for entry in entries if entry)
    return Section(known) if len(known) == len(entries) else None


def _plain_entry(
    name: Text,
    value: Text | Items | None,
    below: Sequence[tuple[int, Text | None, Text | Items | None]],
) -> Entry | None:
    """An entry of the top level and what stands below its name; None if that is not plain."""
    if not below:
        return Entry(name, value or _nothing(name))
    names = [name for _, name, _ in below if name]
    texts = [text for _, _, text in below if isinstance(text, Text)]
    if value or len({depth for depth, _, _ in below}) > 1:
        return None
    if len(names) == len(below):
        return Entry(name, Section(tuple(Entry(n, v or _nothing(n)) for _, n, v in below if n)))
    return Entry(name, Items(tuple(texts))) if not names and len(texts) == len(below) else None


def _nothing(name: Text) -> Text:
    return name._replace(text="")


def read_yaml(path: Path, content: str) -> Value:
    """The tree of any YAML; raises ConfigError with the line of a mistake."""
    node = compose(content, path, ConfigError)
    return Section(()) if node is None else _value(node)


def _value(node: yaml.Node) -> Value:
    """The tree below a node."""
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return _text(node)
    if isinstance(node, yaml.MappingNode):
        entries = (
            Entry(_text(name)._replace(text=str(name.value)), _value(value))
            for name, value in node.value
            if isinstance(name, yaml.ScalarNode)
        )
        return Section(tuple(entries))
    if isinstance(node, yaml.SequenceNode):
        texts = tuple(_text(item) for item in node.value if isinstance(item, yaml.ScalarNode))
        if len(texts) == len(node.value):
            return Items(texts)
    return None


def _text(node: yaml.ScalarNode) -> Text:
    start, end = node.start_mark, node.end_mark
    width = end.column - start.column if end.line == start.line else 1
    null = str(node.tag).endswith(":null")
    return Text("" if null else str(node.value), start.line + 1, start.column, max(1, width))
