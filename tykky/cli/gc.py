"""Delete for good what was uninstalled, what killed builds left, and what nothing uses.

That is also generations which have not been current for that long and no other stack needs.

Programs that still run from a deleted image may fail, on this node or another one, so
only what was uninstalled more than a week ago is deleted, unless told otherwise. A pulled image
goes if no install runs on it, the configuration does not name it, and nothing was built on it for
that time, or for a day at least. Where 'bases_dir' is configured, stores of others may use the same
images, of which nothing is known here: they go with --images only.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

from tykky import console
from tykky.bases import cache
from tykky.cli import common
from tykky.cli.common import Result
from tykky.config import Config
from tykky.errors import StoreError, TykkyError
from tykky.store import HIDDEN, Place, Store, place, state, trash
from tykky.tools.scratch import sweep

EXAMPLES = """\
  tykky gc                 what was uninstalled more than 7 days ago
  tykky gc --days 0        all of it, now
  tykky gc --dry-run       only say what would be deleted
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How old, and which images."""
    parser.add_argument(
        "--days", type=float, default=7, metavar="N", help="leave what is younger (default: 7)"
    )
    parser.add_argument(
        "--images", action="store_true", help="delete unused images, though others may share them"
    )
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="say what would be deleted, and delete nothing"
    )
    common.add_json(parser)


def run(args: argparse.Namespace, config: Config) -> Result:
    """Empty the trash, and delete what else nothing needs."""
    store = Store.of(config)
    seconds = args.days * 86400
    graves = trash.ripe(store, seconds)
    generations, freed = _generations(args, store, seconds)
    if not args.dry_run:
        trash.empty(store, graves)
    images, kept, freed_images = _images(args, config, store, seconds)
    if not args.dry_run:
        cache.sweep(config)
    swept = sweep(config.build_dir, dry_run=args.dry_run)
    octets = sum(graves.values())
    did = "would delete" if args.dry_run else "deleted"

    def show() -> None:
        stacks = console.plural(len(graves), "uninstalled stack")
        console.note(f"{did} {stacks}, {console.size(octets)}")
        _list(f"{did} {console.plural(len(generations), 'old generation')}", freed, generations)
        _list(f"{did} {console.plural(len(images), 'pulled image')}", freed_images, images)
        if kept:
            console.note(
                f"left {console.plural(len(kept), 'pulled image')} that nothing here uses in "
                f"{config.bases_dir}, which others may share: 'tykky gc --images' deletes them"
            )
        if swept:
            console.note(f"{did} what {console.plural(swept, 'killed build')} had left")

    answer = {"removed": len(graves), "bytes": octets, "builds": swept, "generations": generations}
    more = {"images": images, "images_bytes": freed_images, "shared": kept}
    return Result({**answer, **more, "generations_bytes": freed}, show)


def _list(title: str, octets: int, names: list[str]) -> None:
    if names:
        console.note(f"{title}, {console.size(octets)}:")
        for name in names:
            console.note(f"  {name}")


def _generations(args: argparse.Namespace, store: Store, seconds: float) -> tuple[list[str], int]:
    """Generations that have not been current for that long, and that nothing needs."""
    gone: list[str] = []
    freed = 0
    places = _places(store)
    spare = _spare(places, store, seconds)
    for prefix, module in places.items():
        here = Place(prefix)
        try:
            here.check_formats()
            with contextlib.ExitStack() as stack:
                if not args.dry_run:
                    claim = store.claim(prefix, module, console.note, wait=False)
                    if not os.access(here.hidden, os.W_OK) or not stack.enter_context(claim):
                        continue  # somebody is changing it, or it is somebody else's
                    place.sweep(here)
                for number in sorted(spare[prefix] & {*_superseded(here, seconds)}):
                    gone.append(f"{module}#{number}")
                    if not args.dry_run:
                        freed += place.remove_generation(here, number)
        except (TykkyError, OSError) as error:
            console.warn(f"{module} is left as it is: {error}")
    return gone, freed


def _places(store: Store) -> dict[Path, str]:
    """The places that are installed, and those where a killed build has left something."""
    found = {Path(entry.prefix): entry.module for entry in store.entries()}
    for problem in store.unreadable:
        console.warn(f"{problem}; it is left out")
    for hidden in store.places.glob(f"*/*/{HIDDEN}"):
        prefix = hidden.parent
        if prefix not in found and not Place(prefix).current:
            found[prefix] = f"{prefix.parent.name}/{prefix.name}"
    return found


def _superseded(here: Place, seconds: float) -> list[int]:
    """The generations that have not been current for that long. Raises ``StoreError``."""
    since = state.superseded(here, state.events(here))
    return [number for number, when in since.items() if time.time() - when >= seconds]


def _spare(places: Iterable[Path], store: Store, seconds: float) -> dict[Path, set[int]]:
    """Of each place, the old generations that no generation needs which stays."""
    every = {*places, *(hidden.parent for hidden in store.places.glob(f"*/*/{HIDDEN}"))}
    spare: dict[Path, set[int]] = {prefix: set() for prefix in every}
    for prefix in places:
        with contextlib.suppress(StoreError):  # which is said when it would be changed
            spare[prefix] = {*_superseded(Place(prefix), seconds)}
    while True:
        needed = {
            os.path.realpath(need)  # PREFIX#NUMBER: links to its folder may differ
            for here in map(Place, every)
            for number in here.numbers
            if number not in spare[here.prefix]
            for need in here.needs(number)
        }
        fewer = {
            prefix: {n for n in numbers if os.path.realpath(f"{prefix}#{n}") not in needed}
            for prefix, numbers in spare.items()
        }
        if fewer == spare:
            return spare
        spare = fewer


def _images(
    args: argparse.Namespace, config: Config, store: Store, seconds: float
) -> tuple[list[str], list[str], int]:
    """What was deleted, or would be; what only looks unused from here; the bytes of the former."""
    try:
        found = cache.unused(config, store, seconds)
    except StoreError as error:
        console.warn(f"no pulled image is deleted: {error.cause}")
        return [], [], 0
    if not (args.images or cache.is_own(config)):
        return [], [pulled.references[0] for pulled in found], 0
    gone = {}
    for pulled in found:
        freed = pulled.bytes if args.dry_run else cache.delete(config, pulled, seconds)
        if freed:
            gone[pulled.references[0]] = freed
    return list(gone), [], sum(gone.values())
