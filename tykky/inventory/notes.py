"""The announcement of a new version or generation, in Markdown that can be mailed to users."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from tykky.inventory.changes import Changes, Side, asked_first

_WIDTH = 78


def announcement(old: Side, new: Side, changes: Changes, leaving: str = "") -> str:
    """What users want to know of what is new; ``leaving`` is what is said of the old version."""
    parts = [f"# {_title(old, new)}", *_head(new), *_packages(old, new, changes)]
    parts += [*_commands(changes), *_licences(changes), *_use(old, new)]
    parts += [_text(_safe(f"{leaving}."))] if leaving else []
    return "\n\n".join(parts) + "\n"


def _title(old: Side, new: Side) -> str:
    before, after = (
        _safe(side.record.module if side.record else side.title) for side in (old, new)
    )
    return f"{after} is updated" if before == after else f"{after} is there, after {before}"


def _head(new: Side) -> Iterator[str]:
    if new.record is not None:
        yield f"*{new.record.installed[:10]}*"
        if new.record.description:
            yield _text(_safe(new.record.description))


def _packages(old: Side, new: Side, changes: Changes) -> Iterator[str]:
    names = {*changes.packages.added, *changes.packages.removed, *changes.packages.changed}
    first, rest = asked_first(names, old.asked | new.asked)
    yield "## Packages"
    if not names:
        yield "They are the same."
    if first:
        yield "\n".join(f"- **{_safe(name)}** {_told(changes, name)}" for name in first)
    if rest:
        also = "; ".join(f"{_safe(name)} {_told(changes, name)}" for name in rest)
        yield _text(f"{'Also, what these need' if first else 'What came with others'}: {also}.")


def _told(changes: Changes, name: str) -> str:
    there = changes.packages
    if name in there.added:
        return f"{_safe(there.added[name])} (new)"
    if name in there.removed:
        return "is gone"
    return " → ".join(map(_safe, there.changed[name]))


def _commands(changes: Changes) -> Iterator[str]:
    words = {"added": "New", "removed": "Gone"}
    lines = [
        _text(f"{word}: {', '.join(f'`{name}`' for name in names)}")
        for what, word in words.items()
        if (names := changes.commands.get(what))
    ]
    if lines:
        yield "## Commands"
        yield from lines


def _licences(changes: Changes) -> Iterator[str]:
    if changes.licences:
        yield "## Licences"
        lines = changes.licences.items()
        yield "\n".join(f"- {_safe(n)}: {_safe(old)} → {_safe(new)}" for n, (old, new) in lines)


def _use(old: Side, new: Side) -> Iterator[str]:
    if new.record is None:
        return
    yield "## How to use it"
    record, before = new.record, old.record
    if record.has_module:
        yield f"    module load {record.module}"
    else:
        yield f'    export PATH="{record.prefix}/bin:$PATH"'
    if before is not None and before.prefix == record.prefix:
        yield _text(
            "What runs goes on with what it has started with, and so does a session that has "
            "loaded the module: load it again to have what is new."
        )
    elif before is not None and before.has_module:
        yield _text(f"What was there before stays: `module load {before.module}`.")


def _safe(text: str) -> str:
    """A text in which nothing means something to Markdown."""
    return re.sub(r"([\\`*_<>\[\]])", r"\\\1", text)


def _text(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
