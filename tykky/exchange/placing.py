"""Files that have come from elsewhere, where a generation has them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky import bases
from tykky.bases import cache
from tykky.bases.cache import Pulled
from tykky.build.relocating import Source, planned, relocate
from tykky.errors import explained
from tykky.exchange.artifact import Part
from tykky.exchange.pushing import SETTINGS
from tykky.host import now
from tykky.store import Place, Record, Store, roots

if TYPE_CHECKING:
    from tykky.config import Config


def is_there(need: str, build: str, store: Store) -> bool:
    """Whether a generation that is needed is in one of the roots, with the same contents."""
    parts = Path(need.rpartition("#")[0]).parts[-2:]
    for place in (each.place(*parts) for each in roots.searched(store)[0]):
        numbers = (r.generation for r in place.records() if r.build == build)
        if any(not place.original(number) for number in numbers):
            return True
    return False


def has_root(record: Record, part: Part, config: Config) -> bool:
    """Whether the image that an install runs on is among the bases, or was where it was built."""
    pulled = cache.by_digest(config, record.base.get("digest", ""))
    return pulled is not None and not cache.problem_of(config, pulled)


def keep_root(record: Record, part: Part, path: Path | None, config: Config) -> None:
    """Put the image that an install runs on among the bases. Raises ``TykkyError``."""
    digest = record.base.get("digest", "")
    with cache.claim(config, digest) as new:
        if path is None or has_root(record, part, config):
            return
        shutil.copyfile(path, new)
        settings: dict[str, Any] = {}
        with contextlib.suppress(ValueError):
            settings = dict(json.loads(part.notes.get(SETTINGS, "{}")))
        name = record.base.get("name", "")
        made = (part.sha256, part.size, bases.arch(), now(), settings)
        file = cache.name_of(digest, "sif" if part.title.endswith(".sif") else "sqfs")
        cache.keep(config, new, Pulled((name,), digest, file, *made))


def keep_image(path: Path, here: Place, file: str, store: Store) -> None:
    """Let a download be an image of a place. Hold its claim."""
    new = here.images / file
    with explained(f"bring {new}"):
        here.images.mkdir(parents=True, exist_ok=True)
        new.unlink(missing_ok=True)  # which is not what it was
        try:
            os.link(path, new)
        except OSError:  # on another file system
            aside = new.with_name(f"{new.name}.new")
            shutil.copyfile(path, aside)
            aside.replace(new)
        store.permissions.apply(new)


def lay(
    record: Record,
    folder: Path,
    here: Place,
    config: Config,
    store: Store,
    say: Callable[[str], None],
    *,
    held: bool,
) -> Record:
    """Commit a generation of files that lie in a folder; its images are in the place already.

    Hold the claim of the place; ``held`` tells whether that keeps others away. It is not the
    current one yet. Raises ``TykkyError``; then the place is as it was.
    """
    move = planned(Source(record, folder, here.images), here, store, config)
    new, _ = relocate(move, here, config, store, say, held=held)
    return new
