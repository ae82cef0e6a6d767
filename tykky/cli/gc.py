"""Delete for good what was uninstalled or retired, what killed builds left, and what nothing uses.

That is also generations which have not been current for a while and no other stack needs. What
goes, why, and how much that frees is said first. It is what is older than keep.days of the
configuration (or --days); the last keep.generations before the current one stay in any case, and so
does what 'tykky hold' holds.

Programs that still run from a deleted image may fail. What your own programs on this node run from,
or have loaded, is kept; those of others, and on other nodes, cannot be seen. A pulled image
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
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky import console
from tykky.bases import cache
from tykky.cli.common import Call, Result, flag, option
from tykky.errors import StoreError, TykkyError, explained
from tykky.store import Entry, Place, Store, retired, running, spare, state, trash
from tykky.store.claims import remove_unused
from tykky.store.spare import Keep, Plan, Spare
from tykky.tools import downloads
from tykky.tools.scratch import classic_folder, sweep

if TYPE_CHECKING:
    from tykky.config import Config

EXAMPLES = """\
  tykky gc                 what is older than the site keeps it
  tykky gc --days 0        whatever its age
  tykky gc --days 0 --generations 0       also the generation before the current one
  tykky gc --dry-run       only say what would be deleted, and how much it frees
  tykky gc --cache         of downloads, what was not used for 7 days; nothing else
"""


def _count(text: str) -> int:
    if text.isdecimal() and len(text) < 6:
        return int(text)
    raise argparse.ArgumentTypeError(f"'{text}' is no number of generations")


def _days(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (days := float(text)) < math.inf:
            return days
    raise argparse.ArgumentTypeError(f"'{text}' is no number of days")


#: Why what is in the trash goes.

ARGUMENTS = (
    option("--days", type=_days, metavar="N", help="leave what is younger (default: keep.days)"),
    option(
        "--generations",
        type=_count,
        metavar="N",
        help="leave so many of those before the current one (default: keep.generations)",
    ),
    flag("--images", help="delete unused images, though others may share them"),
    flag("--cache", help="delete old downloads instead"),
    flag("-n", "--dry-run", help="say what would be deleted, and delete nothing"),
)


def run(call: Call) -> Result:
    """Say what goes, and why; then delete it."""
    args, config, store = call.args, call.config, call.store
    keep = Keep(
        (config.keep.days if args.days is None else args.days) * 86400,
        config.keep.generations if args.generations is None else args.generations,
    )
    if args.cache:
        return _cache(call, keep.seconds)
    call.warn_of_unmounted()
    plan = spare.plan(store, keep, console.warn)
    thrown = _thrown(store, keep.seconds)
    images, shared = _images(call, keep.seconds, plan, thrown)
    builds = sum(_swept(folder, True, keep.seconds) for folder in _build_dirs(config))
    rows = [
        *((f"  {each.title}", console.size(each.bytes), each.why) for each in plan.spare),
        *((f"  {item.name}", console.size(size), f"{why}: {item}") for item, size, why in thrown),
        *((f"  {p.references[0]}", console.size(p.bytes), "no install runs on it") for p in images),
    ]
    for line in console.columns(rows):
        console.note(line)
    for title, why in plan.kept:
        console.note(f"{title} is kept: {why}")
    if shared:
        console.note(
            f"left {console.plural(len(shared), 'pulled image')} that nothing here uses in "
            f"{config.bases_dir}, which others may share: 'tykky gc --images' deletes them"
        )
    answer: dict[str, Any] = {
        "items": [
            *({"what": "stack" if s.entry else "generation", **_fact(s)} for s in plan.spare),
            *({"what": "trash", "name": i.name, "bytes": n, "why": w} for i, n, w in thrown),
            *({"what": "image", "name": p.references[0], "bytes": p.bytes} for p in images),
        ],
        "kept": [{"name": title, "why": why} for title, why in plan.kept],
        "shared": shared,
        "left": [],
    }
    if args.dry_run:
        return Result(
            {**answer, **_told([*plan.spare], thrown, images, builds)},
            lambda: _show_dry(call, answer, builds),
        )
    spare.tidy(store, plan, console.warn)
    # What was half in the trash is so no more, and as young as can be.
    thrown = [each for each in thrown if os.path.lexists(each[0])]
    gone, left = _delete(call, plan, keep)
    # What was retired goes at once: it had its time.
    buried = [trash.items(store, each.prefix)[-1:] for each in gone if each.entry is not None]
    going = [*(item for item, _, _ in thrown), *(item for items in buried for item in items)]
    busy = trash.empty(store, going)
    left += [f"{item} cannot be deleted yet: it is busy, or somebody else's" for item in busy]
    emptied = [each for each in thrown if each[0] not in busy]
    deleted = []
    for pulled in images:
        try:
            deleted += [pulled] if cache.delete(config, pulled, keep.seconds) else []
        except TykkyError as error:
            left.append(f"{pulled.references[0]} is left: {error.cause}")
    cache.sweep(config)
    for folder in _build_dirs(config):
        _swept(folder, False, keep.seconds)
    for line in left:
        console.warn(line)
    answer["left"] = left
    told = _told(gone, emptied, deleted, builds)

    def show() -> None:
        freed = told["bytes"] + told["generations_bytes"] + told["images_bytes"]
        whole = sum(each.entry is not None for each in gone)
        what = {"generation": len(gone) - whole, "retired version": whole}
        what |= {"uninstalled stack": told["removed"]}
        what |= {"pulled image": len(told["images"]), "leftover of a killed build": builds}
        parts = [console.plural(number, name) for name, number in what.items() if number]
        if parts:
            console.note(f"deleted {', '.join(parts)}: {console.size(freed)} more are free")
        else:
            console.note("nothing is to be deleted")

    return Result({**answer, **told}, show)


def _show_dry(call: Call, answer: dict[str, Any], builds: int) -> None:
    total = sum(item["bytes"] for item in answer["items"])
    nothing = "nothing was deleted" if answer["items"] else "nothing is to be deleted"
    console.note(f"this would free {console.size(total)}; {nothing}")
    if builds:
        console.note(f"and what {console.plural(builds, 'killed build')} had left would go")
    if cached := sum(piece.bytes for piece in downloads.pieces(call.config.cache_dir)):
        large = f"the cache {call.config.cache_dir} has {console.size(cached)}"
        console.note(f"{large}; 'tykky gc --cache' deletes of that")


def _fact(each: Spare) -> dict[str, Any]:
    return {"name": each.title, "bytes": each.bytes, "why": each.why}


def _told(
    gone: list[Spare], thrown: list[tuple[Path, int, str]], images: list[Any], builds: int
) -> dict[str, Any]:
    """The numbers of the answer."""
    return {
        "removed": len(thrown),
        "bytes": sum(size for _, size, _ in thrown),
        "generations": [each.title for each in gone],
        "generations_bytes": sum(each.bytes for each in gone),
        "images": [pulled.references[0] for pulled in images],
        "images_bytes": sum(pulled.bytes for pulled in images),
        "builds": builds,
    }


def _delete(call: Call, plan: Plan, keep: Keep) -> tuple[list[Spare], list[str]]:
    """What of a plan was deleted, and a sentence for each that was not."""
    gone: list[Spare] = []
    left: list[str] = []
    needed: set[str] = set()
    for each in plan.spare:
        before = len(gone)
        try:
            if each.is_needed(needed):
                left.append(f"{each.title} is left: what needs it is")
            elif each.entry is not None:
                _bury(call, each.entry)
                gone.append(each)
            elif (freed := spare.remove(call.store, each, keep, console.warn)) is not None:
                gone.append(replace(each, bytes=freed))
                if freed < each.bytes:
                    left.append(
                        f"{each.title}: a file is still busy; the next 'tykky gc' deletes it"
                    )
                module = each.title.partition("#")[0]
                call.publisher.tell(module, state.event("gc", 0, each.number, each.why))
            else:
                left.append(f"{each.title} is left: it is in use again, or not yours")
        except (TykkyError, OSError) as error:
            left.append(f"{each.title} is left: {error}")
        if len(gone) == before:
            needed.update(each.needs)
    return gone, left


def _bury(call: Call, entry: Entry) -> None:
    """Remove a retired version for good; its module goes on to name another."""
    store, prefix = call.store, Path(entry.prefix)
    with store.claim(prefix, entry.module, console.note, wait=False) as held:
        known = state.marks(Place(prefix))
        if not held or state.RETIRED not in known:
            raise StoreError("it is being changed, or not retired any more")
        retired.put(store, entry, known[state.RETIRED])
        call.publisher.withdraw(entry, "gc", "it was retired")
        trash.put(store, entry)
        call.publisher.modules.bury(entry.name)


def _thrown(store: Store, seconds: float) -> list[tuple[Path, int, str]]:
    """What of the trash goes: where it is, and its bytes."""
    used, found = running.in_use(), []
    for item, (size, why) in trash.older(store, seconds).items():
        if program := trash.running_from(item, used):
            console.warn(f"{item} is kept: {program} runs from it")
        else:
            found.append((item, size, why))
    return found


def _cache(call: Call, seconds: float) -> Result:
    """Delete old downloads."""
    place, dry = call.config.cache_dir, call.args.dry_run
    kept = downloads.pieces(place)
    with explained(f"delete what is old in {place}", "cache_dir"):
        gone = downloads.delete(kept, seconds, dry_run=dry)
        busy = 0 if dry else downloads.sweep(place)
    if busy:
        pieces = console.plural(busy, "piece")
        console.warn(f"{pieces} of {place} still busy; the next 'tykky gc --cache' deletes that")
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


def _images(
    call: Call, seconds: float, plan: Plan, thrown: list[tuple[Path, int, str]]
) -> tuple[list[cache.Pulled], list[str]]:
    """The pulled images that go with what goes; what only looks unused from here."""
    without = {(each.prefix, each.number) for each in plan.spare}
    without |= {(item, 0) for item, _, _ in thrown}
    try:
        found = cache.unused(call.config, call.store, seconds, without)
    except TykkyError as error:
        console.warn(f"no pulled image is deleted: {error.cause}")
        return [], []
    if not (call.args.images or cache.is_own(call.config)):
        return [], [pulled.references[0] for pulled in found]
    return found, []
