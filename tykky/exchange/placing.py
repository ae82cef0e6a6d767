"""Files that have come from elsewhere, where a generation has them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky import bases
from tykky.bases import cache
from tykky.bases.cache import Pulled
from tykky.build.commands import lay_launch
from tykky.build.entering import Entering, launch_plan
from tykky.errors import Exit, StoreError, explained
from tykky.exchange.artifact import Part
from tykky.exchange.pushing import ROOTS, SETTINGS
from tykky.files import copy_tree, count, digest_file, discard
from tykky.host import host_name, now, user_name
from tykky.store import Place, Record, Store, place, signatures

if TYPE_CHECKING:
    from tykky.config import Config


def having(here: Place, build: str) -> int:
    """The newest generation of a place with these contents; 0 without one."""
    numbers = (r.generation for r in here.records() if r.build == build)
    return max((n for n in numbers if not here.original(n)), default=0)


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
) -> Record:
    """Commit a generation of files that lie in a folder; its images are in the place already.

    Hold the claim of the place. It is not the current one yet. Raises ``TykkyError``; then the
    place is as it was.
    """
    if record.prefix != str(here.prefix):
        raise StoreError(
            f"{record.module} was built for {record.prefix}, and belongs to {here.prefix} here",
            remedy=f"build it: 'tykky install {record.spec}'; or have the same root, "
            f"{Path(record.prefix).parents[2]}",
            code=Exit.PATH_TOO_LONG,
        )
    signatures.check_key(config)
    draft = place.begin(here, store.permissions)
    try:
        with explained(f"pull {record.module}"):
            copy_tree(folder, draft.path)
            store.permissions.apply_again(draft.path)
            for image in record.images:
                path = here.images / image["file"]
                if digest_file(path) != image["sha256"]:
                    cause = f"the image {path} is not what was pushed"
                    raise StoreError(cause, remedy="pull it again", code=Exit.DAMAGED)
            new = _here(record, here, draft.number, config)
            entering, images = Entering.read(new.launch), new.images
            plan = launch_plan(
                entering, new.module, here.prefix, draft.number, images, new.commands, config
            )
            lay_launch(plan, draft.path, store.permissions)
            new = replace(new, files=count(draft.path) + 1 + len(images))
            return place.commit(draft, new, store.permissions, signatures.signer(config))
    finally:
        if draft.path.exists():
            discard(draft.path)


def _here(record: Record, here: Place, number: int, config: Config) -> Record:
    """The record of the new generation."""
    needs = {}
    for need, build in record.needed.items():
        there = Place(Path(need.rpartition("#")[0]))
        needs[need] = f"{there.prefix}#{having(there, build)}"
    launch: dict[str, Any] = {**record.launch}
    launch["needs"] = [need.rpartition("#")[::2] for need in needs.values()]
    if root := str(launch.get("root") or ""):
        own = config.bases_dir / Path(root).name
        launch["root"] = str(own if root == f"{ROOTS}/{own.name}" else root)
        if not Path(launch["root"]).exists():
            cause = f"{record.module} runs in {root}, which is not on this machine"
            raise StoreError(cause, remedy="copy it there, as it was", code=Exit.BASE)
    return replace(
        record,
        generation=number,
        installed=now(),
        by={**record.by, "user": user_name(), "host": host_name()},
        needs=tuple(needs.get(need, need) for need in record.needs),
        needed={needs.get(need, need): build for need, build in record.needed.items()},
        launch=launch,
        notes={},
        marks={},
    )
