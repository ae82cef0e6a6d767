"""The images of an install, the lowest first, as the one tree that its commands see."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from tykky.bases.image import Listing, extract, listing, open_image, unpack
from tykky.files import discard


def listing_of(images: Sequence[Path]) -> Listing:
    """List images that lie over each other. Raises ``TykkyError``."""
    first, *layers = (listing(open_image(image)) for image in images)
    for layer in layers:
        first = _over(layer, first)
    return first


def _over(layer: Listing, below: Listing) -> Listing:
    hidden = _hidden(layer, below)
    there = {path: k for path, k in below.kinds.items() if not _is_in(path, hidden)}
    links = {path: to for path, to in below.links.items() if path in there}
    own = {path: kind for path, kind in layer.kinds.items() if kind != "c"}
    programs = {path for path in below.programs if path in there and path not in own}
    links = {path: to for path, to in links.items() if path not in own}
    return Listing({**there, **own}, {**links, **layer.links}, frozenset(programs | layer.programs))


def _hidden(layer: Listing, below: Listing) -> set[str]:
    """What a layer deletes: by whiteouts, and by another kind of file in its place."""
    kinds = ((path, kind, below.kinds.get(path, kind)) for path, kind in layer.kinds.items())
    return {path for path, new, old in kinds if new == "c" or (new == "d") != (old == "d")}


def _is_in(path: str, folders: set[str]) -> bool:
    if not folders:
        return False
    return path in folders or any(str(parent) in folders for parent in PurePosixPath(path).parents)


def extract_all(images: Sequence[Path], name: str, folder: Path) -> None:
    """Unpack a directory at the top of images that lie over each other. Raises ``TykkyError``."""
    extract(open_image(images[0]), [name], folder)
    for path in images[1:]:
        image = open_image(path)
        kinds = listing(image).kinds
        below = [each for each in kinds if each == f"/{name}" or each.startswith(f"/{name}/")]
        for gone in (each for each in below if kinds[each] == "c"):
            discard(folder / gone.lstrip("/"))
        extract(image, [each for each in below if kinds[each] not in "cd"], folder)


def unpack_all(images: Sequence[Path], folder: Path) -> None:
    """Unpack images that lie over each other into a folder that is there. Raises ``TykkyError``.

    It needs nothing of the kernel, and is the way where that has no overlay.
    """
    below: Listing | None = None
    for path in images:
        image = open_image(path)
        here = listing(image)
        if below is None:
            unpack(image, folder)
            below = here
            continue
        for gone in _hidden(here, below):
            discard(folder / gone.lstrip("/"))
        whiteouts = [p.lstrip("/") for p, kind in here.kinds.items() if kind == "c"]
        unpack(image, folder, leave_out=whiteouts)
        below = _over(here, below)
