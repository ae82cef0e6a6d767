"""All images of a generation as one: what was laid over each other, squashed together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky import console
from tykky import lock as locks
from tykky.bases.layers import unpack_all
from tykky.build.renewing import renew
from tykky.build.restoring import NAME
from tykky.build.work import Desk
from tykky.errors import Exit, StoreError, explained
from tykky.files import parse_json
from tykky.runtime.base import image_path
from tykky.store import Place, Record
from tykky.store.written import wrong_image
from tykky.tools import overlay, process
from tykky.tools.apart import apart
from tykky.tools.scratch import Scratch, sweep
from tykky.tools.squash import Image, squash

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.store import Store


def compact(here: Place, record: Record, config: Config, store: Store) -> Record:
    """Commit a generation that has the contents of another one in one image.

    Hold the claim of the place. Raises ``TykkyError``; then the place is as it was.
    """
    desk = Desk.of(config, store, quiet=False)
    sweep(config.build_dir)
    scratch = Scratch(config.build_dir / locks.digest_of(["squash", record.prefix])[:16])
    with scratch.held(), desk.step("squash") as line:
        images = [image_path(here.prefix, image["file"]) for image in record.images]
        line.update("whether the images are whole")
        if wrong := wrong_image(here.images, record.images):
            remedy = f"build it again: 'tykky install --force {record.spec}'"
            raise StoreError(wrong, remedy=remedy, code=Exit.DAMAGED)
        line.update(f"{len(images)} images into one")
        before = {*here.images.iterdir()}
        image = as_one(images, scratch, here.images, config, desk)
        if (path := here.images / image.file) not in before:
            store.permissions.apply(path)
        line.update(f"{len(images)} images into one of {console.size(image.bytes)}")
    one: dict[str, Any] = asdict(image)
    return renew(here, replace(record, images=(one,)), config, store, None, None)


def as_one(
    images: Sequence[Path],
    scratch: Scratch,
    folder: Path,
    config: Config,
    desk: Desk,
    options: Sequence[str] = (),
) -> Image:
    """Put the contents of images, the lowest first, into a new one in a folder.

    ``options`` are words for mksquashfs. Raises ``TykkyError``.
    """

    def run(line: list[str]) -> str:
        return process.run(
            " ".join(line), line, {"PATH": "/usr/bin:/bin"}, Path("/"), desk.log.stream
        )

    def squashed(top: Path) -> Image:
        copy = top / NAME
        with explained("put a copy of the record into the image", "build_dir"):
            if copy.is_file():  # as that of what was built whole
                said = {**parse_json(copy.read_bytes()), "images": []}
                copy.unlink()
                copy.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
                copy.chmod(0o644)
        return squash(top, folder, config, run, options)

    scratch.layer.mkdir()
    try:
        return apart(
            lambda: overlay.join(images, scratch.layer, scratch.top, config.server),
            lambda tree: squashed(tree.top),
        )
    except overlay.NoLayers:
        pass
    unpack_all(images, scratch.top)
    return squashed(scratch.top)
