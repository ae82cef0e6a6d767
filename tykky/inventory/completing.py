"""What an install that an earlier Tykky made can tell of its packages, from its own images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tykky import lock as locks
from tykky.bases import ImageBase
from tykky.bases.image import image_base, open_image
from tykky.conda.channels import name_of
from tykky.contents import FILE, Installed, canonical, of_install
from tykky.inventory import environments
from tykky.inventory.filling import filled, of_base, on_stack
from tykky.runtime.base import image_path

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.store import Place, Record


def lacks(folder: Path) -> bool:
    """Whether the generation in a folder was made before what is known now was noted."""
    return not (folder / FILE).exists() or not all(each.type for each in of_install(folder))


def completed(place: Place, record: Record, config: Config) -> tuple[Installed, ...]:
    """The packages of a generation, with all that is known of them.

    What its images do not tell stays as it was noted. Raises ``TykkyError``.
    """
    folder = place.generation(record.generation)
    known = of_install(folder)
    there: Sequence[Installed] = ()
    for each in record.images:
        image = ImageBase("", "", "", open_image(image_path(place.prefix, each["file"])))
        for prefix, rows in environments.found(image, lambda url: name_of(url, config)):
            # In an image there may be several; an install that has noted none has one at its top.
            if _common(rows, known) > _common(there, known) or not (known or prefix):
                there = rows
    told = {_key(package): package for package in there}
    old = [told.get(_key(package), package) for package in known]
    new = [each for each in there if not known or each.type == "cran"]
    rows = filled([*old, *new], locks.read(folder / "lock.json"), {})
    return (*rows, *_of_base(record))


def _key(package: Installed) -> tuple[str, str]:
    return canonical(package.name), package.version


def _common(rows: Sequence[Installed], known: Sequence[Installed]) -> int:
    return len({*map(_key, rows)} & {*map(_key, known)})


def _of_base(record: Record) -> tuple[Installed, ...]:
    """The packages of what a generation was built in, and runs on."""
    said, root = record.base, str(record.launch.get("root", ""))
    if str(said.get("name", "")).startswith("stack:") and record.needs:
        prefix, _, number = record.needs[0].rpartition("#")
        if found := on_stack(Path(prefix), int(number)):
            return found
    if not root:
        return ()
    path = Path(root.replace("$PREFIX", record.prefix))
    return of_base(image_base(said["name"], said["digest"], path, {}))
