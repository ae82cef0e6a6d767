"""Which images programs on this node run from, as far as this user can see."""

from __future__ import annotations

import os
from pathlib import Path

from tykky.runtime.base import IMAGES
from tykky.store.place import HIDDEN, unescaped


def in_use() -> dict[str, str]:
    """The paths of all images that are mounted for programs, and one such program for each.

    What keeps and serves a mount stays a while after the last program, and does not count.
    """
    found: dict[str, str] = {}
    seen: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "comm").read_text(errors="replace").strip()
            namespace = str((process / "ns/mnt").readlink())
            if namespace in seen or name.startswith("tykky-"):
                continue
            mounts = (process / "mountinfo").read_text(errors="surrogateescape").splitlines()
        except OSError:  # somebody else's, or just ended
            continue
        seen.add(namespace)
        for source in (line.partition(" - ")[2].split()[1:2] for line in mounts):
            if source and f"/{HIDDEN}/{IMAGES}/" in source[0]:
                found[os.path.realpath(unescaped(source[0]))] = f"{name} (process {process.name})"
    return found


def runs_from(images: Path, files: set[str], used: dict[str, str]) -> str:
    """A program that runs from one of the files in a folder of images, or nothing."""
    return next((p for f in files if (p := used.get(os.path.realpath(images / f), ""))), "")
