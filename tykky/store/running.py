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


def pinned() -> dict[str, str]:
    """The generations that processes of this user on this node have loaded: ``PLACE=NUMBER``.

    With one process for each. Of a shell's own variables, /proc has those that it began with: what
    it has loaded since then is seen in what it runs, and be it this process.
    """
    found: dict[str, str] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            pins = [v.partition(b"=")[2] for v in variables if v.startswith(b"TYKKY_PINS=")]
            if not pins:
                continue
            name = (process / "comm").read_text(errors="replace").strip()
            own = process.name == str(os.getpid())
            title = "this session" if own else f"{name} (process {process.name})"
        except OSError:  # somebody else's, or just ended
            continue
        if name.startswith("tykky-"):
            continue  # it keeps or serves a mount
        for pin in os.fsdecode(b":".join(pins)).split(":"):
            place, _, number = pin.rpartition("=")
            found.setdefault(f"{os.path.realpath(place)}={number}", title)
    return found


def runs_from(images: Path, files: set[str], used: dict[str, str]) -> str:
    """A program that runs from one of the files in a folder of images, or nothing."""
    return next((p for f in files if (p := used.get(os.path.realpath(images / f), ""))), "")
