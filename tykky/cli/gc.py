"""Delete for good what was uninstalled, what killed builds left, and what nothing uses.

That is also generations which have not been current for that long and no other stack needs.

Programs that still run from a deleted image may fail, so only what was uninstalled more than a week
ago is deleted, unless told otherwise. What your own programs on this node run from is kept in any
case; those of others, and on other nodes, cannot be seen. A pulled image
goes if no install runs on it, the configuration does not name it, and nothing was built on it for
that time, or for a day at least. Where 'bases_dir' is configured, stores of others may use the same
images, of which nothing is known here: they go with --images only.

What is kept of downloads is a matter of its own: --cache deletes what was not used for that time.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import console
from tykky.bases import cache
from tykky.cli.common import Call, Result, flag, option
from tykky.errors import TykkyError, explained
from tykky.store import running, spare, trash
from tykky.store.claims import remove_unused
from tykky.tools import downloads
from tykky.tools.scratch import classic_folder, sweep

if TYPE_CHECKING:
    from tykky.config import Config

EXAMPLES = """\
  tykky gc                 what was uninstalled more than 7 days ago
  tykky gc --days 0        all of it, now
  tykky gc --dry-run       only say what would be deleted, and how large the cache is
  tykky gc --cache         of downloads, what was not used for 7 days; nothing else
"""


def _days(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (days := float(text)) < math.inf:
            return days
    raise argparse.ArgumentTypeError(f"'{text}' is no number of days")


ARGUMENTS = (
    option("--days", type=_days, default=7, metavar="N", help="leave what is younger (default: 7)"),
    flag("--images", help="delete unused images, though others may share them"),
    flag("--cache", help="delete old downloads instead"),
    flag("-n", "--dry-run", help="say what would be deleted, and delete nothing"),
)


def run(call: Call) -> Result:
    """Empty the trash, and delete what else nothing needs."""
    args, config, store = call.args, call.config, call.store
    seconds = args.days * 86400
    if args.cache:
        return _cache(call, seconds)
    items, used = trash.older(store, seconds), running.in_use()
    for item in [*items]:
        if program := trash.running_from(item, used):
            console.warn(f"{item} is kept: {program} runs from it")
            del items[item]
    generations, freed = spare.remove(store, seconds, console.warn, dry_run=args.dry_run)
    if not args.dry_run:
        for left in trash.empty(store, [*items]):
            del items[left]
            console.warn(f"{left} cannot be deleted: what somebody else has made in it is theirs")
    images, kept, freed_images = _images(call, seconds)
    if not args.dry_run:
        cache.sweep(config)
    swept = sum(_swept(folder, args.dry_run, seconds) for folder in _build_dirs(config))
    octets, cache_dir = sum(items.values()), config.cache_dir
    did = "would delete" if args.dry_run else "deleted"

    def show() -> None:
        stacks = console.plural(len(items), "uninstalled stack")
        console.note(f"{did} {stacks}, {console.size(octets)}")
        gone = {"old generation": (generations, freed), "pulled image": (images, freed_images)}
        for what, (names, size) in gone.items():
            if names:
                console.note(f"{did} {console.plural(len(names), what)}, {console.size(size)}:")
            for name in names:
                console.note(f"  {name}")
        if kept:
            console.note(
                f"left {console.plural(len(kept), 'pulled image')} that nothing here uses in "
                f"{config.bases_dir}, which others may share: 'tykky gc --images' deletes them"
            )
        if swept:
            console.note(f"{did} what {console.plural(swept, 'killed build')} had left")
        if args.dry_run and (kept_bytes := sum(p.bytes for p in downloads.pieces(cache_dir))):
            large = console.size(kept_bytes)
            console.note(f"the cache {cache_dir} has {large}; 'tykky gc --cache' deletes of that")

    answer = {"removed": len(items), "bytes": octets, "builds": swept, "generations": generations}
    more = {"images": images, "images_bytes": freed_images, "shared": kept}
    return Result({**answer, **more, "generations_bytes": freed}, show)


def _cache(call: Call, seconds: float) -> Result:
    """Delete old downloads."""
    place, dry = call.config.cache_dir, call.args.dry_run
    kept = downloads.pieces(place)
    with explained(f"delete what is old in {place}", "cache_dir"):
        gone = downloads.delete(kept, seconds, dry_run=dry)
    if not dry:
        remove_unused((place / "downloads").glob(".*.lock"))
    parts = {p.folder: sum(q.bytes for q in gone if q.folder == p.folder) for p in gone}
    freed, total = sum(parts.values()), sum(p.bytes for p in kept)

    def show() -> None:
        did = "would delete" if dry else "deleted"
        what = ", ".join(f"{name} {console.size(octets)}" for name, octets in parts.items())
        console.note(
            f"{did} {console.size(freed)} of the {console.size(total)} in {place}"
            + (f": {what}" if what else "")
        )

    answer = {"cache": str(place), "bytes": total, "removed": len(gone), "removed_bytes": freed}
    return Result({**answer, "parts": parts}, show)


def _build_dirs(config: Config) -> set[Path]:
    """Where builds may have been killed, also those of the classic commands."""
    bases = (os.environ.get("CW_BUILD_TMPDIR"), os.environ.get("TMPDIR"), "/tmp")
    return {config.build_dir, *(classic_folder(base) for base in bases if base)}


def _swept(folder: Path, dry_run: bool, seconds: float) -> int:
    try:
        return sweep(folder, dry_run=dry_run, logs=seconds)
    except (TykkyError, OSError) as error:
        console.warn(f"what killed builds have left stays: {error}")
        return 0


def _images(call: Call, seconds: float) -> tuple[list[str], list[str], int]:
    """What was deleted, or would be; what only looks unused from here; the bytes of the former."""
    try:
        found = cache.unused(call.config, call.store, seconds)
    except TykkyError as error:
        console.warn(f"no pulled image is deleted: {error.cause}")
        return [], [], 0
    if not (call.args.images or cache.is_own(call.config)):
        return [], [pulled.references[0] for pulled in found], 0
    gone = {}
    for pulled in found:
        dry = call.args.dry_run
        if freed := pulled.bytes if dry else cache.delete(call.config, pulled, seconds):
            gone[pulled.references[0]] = freed
    return list(gone), [], sum(gone.values())
