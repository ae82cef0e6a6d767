"""The catalogue: a static site that tells what is installed, made from records.

::

    <output>/index.html                     the start page: search, all stacks, the last changes
    <output>/stacks/NAME/index.html         a stack: its versions, how it is used, what is in it
    <output>/stacks/NAME/versions/V.html    the same of each version
    <output>/stacks/NAME/stack.json         all of it for programs
    <output>/search/*.js                    what the search knows
    <output>/catalog.json, modules.json, feed.xml

A page is written again only if what it is made from has changed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.errors import TykkyError
from tykky.publish.catalog import folder, groups, work
from tykky.publish.catalog.groups import Shown
from tykky.publish.catalog.pages import Pages
from tykky.publish.catalog.text import line, link
from tykky.store import Store

if TYPE_CHECKING:
    from tykky.config import Config


@dataclass(frozen=True)
class Wish:
    """What a catalogue is to be: its folder, what it is called, and where others will find it.

    ``hidden`` shows what is hidden, or open to a group only, as well.
    """

    output: Path
    title: str
    url: str = ""
    contact: str = ""
    hidden: bool = False


@dataclass(frozen=True)
class Made:
    """What was made: counts of ``stacks``, ``versions`` and files, and ``problems`` in words."""

    stacks: int
    versions: int
    written: int
    removed: int
    problems: list[str] = field(default_factory=list)


def roots_of(config: Config, store: Store, more: Sequence[Path] = ()) -> list[Shown]:
    """The root of a call, and those that are shown with it. Raises ``TykkyError``."""
    found = [Shown(config, store)]
    for path in dict.fromkeys((*config.catalog.roots, *more)):
        if os.path.realpath(path) != os.path.realpath(store.root):
            own = type(config).load({"root": str(path)})
            found.append(Shown(own, Store.of(own)))
    return found


def follow(config: Config, store: Store) -> list[str]:
    """Make the catalogue again that a site keeps, after a change; problems in words."""
    wanted = config.catalog
    if wanted.output is None:
        return []
    wish = Wish(wanted.output, wanted.title, wanted.url, wanted.contact, wanted.hidden)
    again = "'tykky catalog' makes it again"
    try:
        return make(wish, roots_of(config, store)).problems
    except TykkyError as error:
        return [f"the catalogue {wish.output} does not tell of this: {error.cause}; {again}"]
    except Exception as error:  # whatever a build has put into what it says of itself
        what = f"{type(error).__name__}: {error}"
        return [f"the catalogue {wish.output} does not tell of all: {what}; {again}"]


def make(wish: Wish, shown: Sequence[Shown]) -> Made:
    """Make a catalogue, or what has changed of it. Raises ``TykkyError``."""
    found, problems = groups.of_roots(shown, hidden=wish.hidden)
    first = shown[0]
    url = link(wish.url)
    site = {
        "title": line(wish.title) or "Software",
        "url": url.rstrip("/") + "/" if url else "",
        "contact": line(wish.contact),
        "contact_link": _mail(wish.contact) or link(wish.contact),
    }
    with folder.opened(wish.output, first.store.permissions) as out:
        work.Work(Pages(site), out, found, problems).run()
        versions = sum(len(group.entries) for group in found)
        return Made(len(found), versions, out.written, out.removed, problems)


def _mail(text: str) -> str:
    good = re.fullmatch(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", text, re.ASCII)
    return f"mailto:{text}" if good else ""
