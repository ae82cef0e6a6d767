"""A copy of the record in the image, and the generation that is made again from it.

Files that are small and old are what cleaners of scratch file systems take, and images are what
they leave. What a generation consists of besides its image can be made from its record; so a copy
of that lies in the image, as far as it is the same for the same contents.
"""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import tykky
from tykky.build.commands import lay_launch
from tykky.build.entering import Entering, launch_plan
from tykky.build.layout import Images
from tykky.errors import Exit, StoreError, explained
from tykky.files import copy_tree, digest_file, discard
from tykky.host import host_name, now, user_name
from tykky.recipe import guarded
from tykky.runtime.base import CONF_NAME, CURRENT
from tykky.store import Place, Record, Store, place, signatures, state
from tykky.store import record as records
from tykky.tools import squash
from tykky.tools.scratch import contained

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.kinds.stack import Stack

#: The copy, at the top of the image.
NAME = ".tykky-record.json"
#: More than any record has, in bytes.
_MOST = 1 << 24
#: What a copy says of the layer that it lies in.
NAMELESS = {"file": "", "sha256": "", "bytes": 0}

#: How an install is entered, as its site wants it unless its recipe says.
_OF_THE_SITE = ("runtime", "isolation")


def put_copy(top: Path, record: Record, recipe: Stack, below: Images = ()) -> None:
    """Put the copy of a record into the contents ``top`` of an image. Raises ``OSError``.

    Of a layer it has the images ``below`` it, and itself without a name.

    What a site has chosen is not in it, nor how often the stacks that it needs were built there:
    the same contents are the same image everywhere.
    """
    needs = [need.rpartition("#")[0] for need in record.needs]
    wishes = {key: guarded(recipe, key) or "" for key in _OF_THE_SITE}
    # Nor which MPI the machine has that it was built on.
    left_out = ("needed_images", "mpi")
    launch = {key: value for key, value in record.launch.items() if key not in left_out}
    same = replace(
        record,
        installed="",
        by={},
        steps=(),
        generation=0,
        images=(*below, {**NAMELESS, "parent": below[-1]["sha256"]}) if below else (),
        files=0,
        notes={},
        marks={},
        instead="",
        fetched=(),
        repository={},
        recipe={**record.recipe, "file": ""},  # which may lie anywhere
        launch={**launch, **wishes, "needs": [(prefix, "0") for prefix in needs]},
        needs=tuple(f"{prefix}#0" for prefix in needs),
        needed={f"{n.rpartition('#')[0]}#0": build for n, build in record.needed.items()},
    )
    path = contained(top, Path(NAME))
    path.unlink(missing_ok=True)
    path.write_bytes(records.render(same))


def copies(here: Place) -> list[Record]:
    """The records of which there are copies in the images of a place, the newest image first.

    Each with its image, which is whole.
    """
    found = []
    there = here.images.glob("*.sqfs") if here.images.is_dir() else ()
    for image in sorted(there, key=lambda path: path.lstat().st_mtime, reverse=True):
        with contextlib.suppress(OSError, StoreError):
            record = copy_in(image)
            if record is None or record.prefix != str(here.prefix):
                continue
            digest = digest_file(image)
            whole = all(
                place.is_image(here.images / i["file"], i["bytes"]) for i in record.images[:-1]
            )
            # A name that is laid out must stay in its folder, whoever has made the image.
            odd = any("/" in name or name.startswith(".") for name in record.commands)
            if image.stem == digest[: squash.DIGITS] and whole and not odd:
                fact = {"file": image.name, "sha256": digest, "bytes": image.stat().st_size}
                if record.images:
                    fact = {**record.images[-1], **fact}
                elif parent := _extended(record):
                    fact["parent"] = parent
                found.append(replace(record, images=(*record.images[:-1], fact)))
    return found


def copy_in(image: Path) -> Record | None:
    """The copy of the record in an image; in a layer, with all images, itself without a name."""
    line = [squash.program("unsquashfs"), "-cat", str(image), NAME]
    null = subprocess.DEVNULL
    with subprocess.Popen(line, stdin=null, stdout=subprocess.PIPE, stderr=null) as reading:
        assert reading.stdout is not None
        said = reading.stdout.read(_MOST + 1)  # whoever made the image may have put in more
        reading.kill()
    with contextlib.suppress(StoreError):
        return records.read(image, text=said) if len(said) <= _MOST else None
    return None


def _extended(record: Record) -> str:
    """The image of another install that the only one of this lies on, if it does.

    Raises ``StoreError`` if that is gone.
    """
    if record.kind != "extension" or not record.launch.get("mount_at"):
        return ""
    need = record.needs[0]
    prefix, _, number = _having(need, record.needed[need]).rpartition("#")
    return str(Place(Path(prefix)).record(int(number)).images[-1]["sha256"])


def restore(here: Place, config: Config, store: Store) -> Record:
    """Make the current generation again, of its record or else of the copy in an image.

    It has the number that it had, and what is left of it. Hold the claim of the place. Raises
    ``TykkyError``.
    """
    signatures.check_key(config)  # before anything is set aside
    number = _number(here)
    record = _of_record(here, number) or _of_image(here, number, config)
    last = here.generation(number)
    state.recall(here, store.entered_marks(record), store.permissions)
    draft = replace(place.begin(here, store.permissions), number=number)
    try:
        with explained(f"restore {record.module}"):
            if last.is_dir():
                copy_tree(last, draft.path)
            for name in (records.NAME, CONF_NAME):
                discard(draft.path / name)
        entering = Entering.read(record.launch)
        commands = record.commands
        plan = launch_plan(
            entering, record.module, here.prefix, number, record.images, commands, config
        )
        lay_launch(plan, draft.path, store.permissions)
        if last.exists():  # the next sweep takes it away
            place.set_aside(here, number)
        record = place.commit(draft, record, store.permissions, signatures.signer(config))
        state.renote(here, last / records.NAME, store.permissions)
        return record
    finally:
        if draft.path.exists():
            discard(draft.path)


def _of_record(here: Place, number: int) -> Record | None:
    """The record of a generation, if that is as it was written."""
    with contextlib.suppress(StoreError):
        record = here.record(number)
        if not place.damaged(record).endswith((records.NAME, ".sqfs")):
            # What is made anew gets notes of its own.
            kept = {name: n for name, n in record.notes.items() if name != CONF_NAME}
            return replace(record, notes=kept)
    return None


def _of_image(here: Place, number: int, config: Config) -> Record:
    """The record from the newest image, but one that another generation has."""
    # Layers of the same images are another generation each: what lies on top tells which.
    tops = (e.images[-1]["file"] for e in here.records() if e.generation != number and e.images)
    others = {*tops}
    known = copies(here)
    if not known:
        raise StoreError(
            f"no image of {here.prefix} that is whole has a copy of its record",
            remedy="install it again; it was made by an earlier Tykky, or its image is gone, too",
            code=Exit.DAMAGED,
        )
    record = next((each for each in known if each.images[-1]["file"] not in others), known[0])
    numbers = {need: _having(need, build) for need, build in record.needed.items()}
    needs = [name.rpartition("#")[::2] for name in numbers.values()]
    images = [Place(Path(p)).record(int(n)).names_of_images for p, n in needs]
    own = {key: record.launch.get(key) or str(config.get(key)) for key in _OF_THE_SITE}
    record = replace(
        record,
        launch={"mpi": (), **record.launch, **own, "needs": needs, "needed_images": images},
        needs=tuple(numbers[need] for need in record.needs),
        needed={numbers[need]: build for need, build in record.needed.items()},
    )
    by = {"user": user_name(), "host": host_name(), "tykky": tykky.__version__}
    return replace(record, generation=number, installed=now(), by=by)


def _having(need: str, build: str) -> str:
    """The newest generation of a needed place that is this build. Raises ``StoreError``."""
    prefix = need.rpartition("#")[0]
    for record in reversed([*Place(Path(prefix)).records()]):
        if record.build == build:
            return f"{prefix}#{record.generation}"
    cause = f"{prefix}, which it needs, is not there any more as it was"
    raise StoreError(cause, remedy="install it again", code=Exit.DAMAGED)


def _number(here: Place) -> int:
    """The number of the generation that is, or was, the current one."""
    with contextlib.suppress(OSError, ValueError):
        if (number := int((here.hidden / CURRENT).readlink().name)) > 0:
            return number
    return max((1, *here.numbers, *(event.generation for event in state.events(here)[-1:])))


def is_lost(here: Place) -> bool:
    """Whether no current generation of a place can be entered, although an image is there.

    What cannot be looked at is not known to be.
    """
    if not here.current:
        return here.is_lost
    try:
        lost = not here.generation().joinpath(CONF_NAME).is_file()
        lost = lost or place.damaged(here.record()).endswith((records.NAME, CONF_NAME))
    except records.NewerFormat:
        return False
    except StoreError:
        lost = True
    except OSError:
        return False
    with contextlib.suppress(OSError):
        return lost and any(here.images.glob("*.sqfs"))
    return False
