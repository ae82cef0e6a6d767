"""What is in images, seen from outside, and the layer of what is written anew of it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.build import rewire, root
from tykky.build.rebuilding import options_of
from tykky.build.restoring import NAME, NAMELESS, copy_in
from tykky.errors import Exit, TykkyError
from tykky.files import Permissions
from tykky.runtime.base import ImageMount
from tykky.store import Place
from tykky.store import record as records
from tykky.store.record import PATHS
from tykky.tools import process
from tykky.tools.scratch import Scratch
from tykky.tools.squash import squash

if TYPE_CHECKING:
    from tykky.config import Config

#: Whether all in the tree that is named is seen in the mounted one, which is beside it.
_SAME = """
import filecmp, os, sys
top = sys.stdin.read()
seen = os.path.join(os.path.dirname(top), "seen")
for where, folders, files in os.walk(top):
    for name in files + [n for n in folders if os.path.islink(os.path.join(where, n))]:
        ours = os.path.join(where, name)
        theirs = os.path.join(seen, os.path.relpath(ours, top))
        if os.path.islink(ours):
            same = os.readlink(ours) == os.readlink(theirs)
        else:
            same = filecmp.cmp(ours, theirs, shallow=False)
        if not same:
            sys.exit(f"{theirs} is not what was written")
"""


@dataclass(frozen=True)
class View:
    """Images, the lowest first, that are mounted in scratch, and the ``paths`` to be changed."""

    images: Sequence[Mapping[str, Any]]
    paths: Mapping[str, str]
    scratch: Scratch
    config: Config

    @property
    def top(self) -> Path:
        """Where they are seen."""
        return self.scratch.path / "seen"

    def rewired(self, folder: Path) -> rewire.Found:
        """Write anew what names a path, in scratch; the images are in a folder."""
        if not self.images or not self.paths:
            return rewire.Found()
        wish = {"top": str(self.top), "out": str(self.scratch.top), "paths": dict(self.paths)}
        given = json.dumps({**wish, "jobs": self.config.jobs, "without": [NAME]})
        found = json.loads(self._run(folder, self.images, rewire.__file__, given=given))
        return rewire.Found(**{**found, "refused": [*map(tuple, found["refused"])]})

    def layer(self, here: Place, permissions: Permissions) -> Iterator[Mapping[str, Any]]:
        """What was written anew as an image, on those of a place; none where these were made.

        There is one even if it has nothing but the copy of the record: that tells where they were
        made. It is seen on them once, as commands will see it.
        """
        if not self.images or not self.paths:
            return
        fact = {"parent": self.images[-1]["sha256"], PATHS: dict(self.paths)}
        self._put_copy(here.images, fact)
        before = {*here.images.iterdir()}
        with tempfile.TemporaryFile() as log:

            def run(line: list[str]) -> str:
                return process.run(" ".join(line), line, os.environ, Path("/"), log)

            # Whatever is configured here: the same paths are the same layer everywhere.
            options = options_of(here.images / self.images[0]["file"], run)
            image = squash(self.scratch.top, here.images, self.config, run, options)
        if (path := here.images / image.file) not in before:
            permissions.apply(path)
        layer = {**asdict(image), **fact}
        try:
            given = str(self.scratch.top)
            self._run(here.images, [*self.images, layer], "-c", _SAME, given=given)
        except TykkyError as error:
            if error.code == Exit.BUILD:  # and nothing else is known to be the matter
                error.cause = "the layer cannot be laid over its image on this machine"
                error.code = Exit.NODE
            raise
        yield layer

    def _put_copy(self, folder: Path, fact: Mapping[str, Any]) -> None:
        """Put in the copy of the record, as it is in the images, with the paths of now."""
        copies = (copy_in(folder / each["file"]) for each in reversed(self.images))
        if (record := next(filter(None, copies), None)) is not None:
            same = moved(asdict(record), self.paths)
            # The layer itself comes last; its name and digest are not known in it.
            images = (*self.images, {**NAMELESS, **fact})
            data = records.render(replace(record, **{**same, "images": images, "steps": ()}))
            (self.scratch.top / NAME).write_bytes(data)

    def _run(
        self, folder: Path, images: Sequence[Mapping[str, Any]], *words: str, given: str
    ) -> str:
        """What a Python of this machine prints that sees images of a folder at ``top``."""
        # What is a layer on images of another install is looked at by itself.
        mounts = [
            ImageMount(image["file"], image["bytes"], str(self.top), layer=index > 0)
            for index, image in enumerate(images)
        ]
        self.top.mkdir(exist_ok=True)
        command = root.view(folder, mounts, self.scratch, self.config)
        clean = {"PATH": "/usr/bin:/bin", "HOME": str(self.scratch.home), "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            [command, sys.executable, "-I", *words],
            input=given.encode(errors="surrogateescape"),
            capture_output=True,
            env=clean,
            check=False,
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace")
            error = process.failure("look at the contents of the install", done.returncode, said)
            error.remedy = error.remedy or "'tykky doctor' tells whether this machine can do it"
            raise error
        return done.stdout.decode(errors="surrogateescape")


@contextlib.contextmanager
def viewed(
    images: Sequence[Mapping[str, Any]], paths: Mapping[str, str], config: Config, name: str
) -> Iterator[View]:
    """A view of images in a scratch directory of that name, of which nothing is left."""
    scratch = Scratch(config.build_dir / name)
    with scratch.held():
        scratch.home.mkdir()
        yield View(images, paths, scratch, config)
    with contextlib.suppress(OSError):
        config.build_dir.rmdir()


def moved(value: Any, paths: Mapping[str, str]) -> Any:
    """Facts of a record with the paths as they are by now."""
    match value:
        case str():
            return rewire.moved(value, paths)
        case dict():
            return {moved(key, paths): moved(each, paths) for key, each in value.items()}
        case list() | tuple():
            return tuple(moved(each, paths) for each in value)
    return value
