"""The images of an install, the lowest first, as the one tree that its commands see."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
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
        kinds = {p: k for p, k in listing(image).kinds.items() if f"{p}/".startswith(f"/{name}/")}
        with _upon(folder, (p for p, kind in kinds.items() if kind == "c")) as layer:
            extract(image, [p for p, kind in kinds.items() if kind not in "cd"], layer)


def unpack_all(images: Sequence[Path], folder: Path) -> None:
    """Unpack images that lie over each other into a folder that is there. Raises ``TykkyError``.

    It needs nothing of the kernel, and is the way where that has no overlay.
    """
    unpack(open_image(images[0]), folder)
    for path in images[1:]:
        image = open_image(path)
        gone = [path for path, kind in listing(image).kinds.items() if kind == "c"]
        with _upon(folder, gone) as layer:
            unpack(image, layer, leave_out=[path.lstrip("/") for path in gone])
            shutil.copymode(layer, folder)


@contextmanager
def _upon(folder: Path, gone: Iterable[str]) -> Iterator[Path]:
    """Put what comes into another folder over all that is in ``folder``, without what is gone.

    It is not unpacked where it belongs: there may be a link, and nothing is to be written, or
    deleted, where that leads.
    """
    with tempfile.TemporaryDirectory(prefix=".tykky-", dir=folder) as name:
        yield Path(name)
        top = folder.resolve()
        for path in gone:
            target = top / path.lstrip("/")
            if target.parent.is_dir() and target.parent.resolve() == target.parent:
                discard(target)
        _move(Path(name), folder)


def _move(source: Path, target: Path) -> None:
    """Move all that is in a directory over what is in another one."""
    with os.scandir(source) as there:
        entries = [*there]
    for entry in entries:
        path = target / entry.name
        if entry.is_dir(follow_symlinks=False) and path.is_dir() and not path.is_symlink():
            _move(Path(entry.path), path)
            shutil.copymode(entry.path, path)
        else:
            discard(path)
            Path(entry.path).rename(path)
