"""Verbs that tell what is inside of installs, of real ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from tests.images import docker_archive, static_program
from tests.stacks import HEAD, Site
from tykky.errors import Exit

#: What makes a stack have packages, as its kind would find them.
_PACKAGES = """
def contents(self, box):
    from tykky.contents import Installed
    more = {"2.0": ("BSD-3-Clause", 7000000)}.get(self.version, ("MIT", 5000000))
    yield Installed("numpy", self.version, "", "pypi", more[0], "pypi", size=more[1])
    yield Installed("pandas", "3.0", "", "pypi", "BSD-3-Clause", "pypi", requires=("numpy",))

def finish(self, box):
    box.write("lib/libhdf5.so." + self.version, "")
    box.write("bin/h5-" + self.version, "#!/bin/sh\\\\n")
    box.real("bin/h5-" + self.version).chmod(0o755)
"""


def test_what_is_inside_is_answered_from_records(site: Site, place: Path) -> None:
    # Two versions of a stack with packages, and one that needs the first.
    text = site.hello("hello", "1.0", "2.0", more=_PACKAGES.replace("\\\\n", "\\n"))
    text.write_text(text.read_text().replace('commands = "hello"', 'commands = "*"'))
    site.hello("upper", more='needs = "hello@1.0"')
    site("install", "hello@1.0", "hello@2.0", "upper")
    _differences(site)
    _graphs(site)
    _names_and_files(site, place)


def _names_and_files(stacks: Site, place: Path) -> None:
    rows = stacks.json("which", "Num*<2", "hello", "h5*")
    assert [(row["module"], row["what"], row["name"], row["version"]) for row in rows] == [
        ("hello/1.0", "module", "hello/1.0", ""),
        ("hello/1.0", "command", "hello", ""),
        ("hello/1.0", "command", "h5-1.0", ""),
        ("hello/1.0", "package", "numpy", "1.0"),
        ("hello/2.0", "module", "hello/2.0", ""),
        ("hello/2.0", "command", "hello", ""),
        ("hello/2.0", "command", "h5-2.0", ""),
        ("upper/1.0", "command", "hello", ""),
    ]
    found = stacks.json("find", "--packages", "numpy>=2")
    assert [(each["module"], each["packages"][0]["size"]) for each in found] == [
        ("hello/2.0", 7000000)
    ]
    stacks("which", "numpy>2", "hello", status=Exit.NOT_FOUND)
    stacks("which", "numpy>", status=Exit.SPEC)
    # Files, without reading an image.
    for image in stacks.images("hello@2.0"):
        image.rename(place / image.name)
    (file,) = stacks.json("which", "--files", "libhdf5.so.2*")
    assert file["path"] == f"{stacks.prefix('hello@2.0')}/lib/libhdf5.so.2.0"
    assert stacks.json("which", "--files", "lib/libhdf5*", file["path"], "bin/nothing", status=6)
    # What an earlier Tykky has made has no list: the image has to be read.
    (stacks.generation("hello@1.0") / "files.gz").unlink()
    done = stacks("which", "--files", "libhdf5.so.1.0")
    assert "hello/1.0" in done.stdout and "the images of 1 install" in done.stderr
    _change(stacks.generation("hello@1.0") / "record.json", "files.gz")
    _change(
        stacks.prefix("hello@1.0") / ".tykky/state.json",
        "digest",
        ".tykky/generations/1/record.json",
    )
    stacks("refresh", "hello@1.0")
    assert not stacks("which", "--files", "libhdf5.so.1.0").stderr
    (stacks.generation("hello@2.0") / "files.gz").write_bytes(gzip.compress(b"lib/lies"))
    assert "files.gz is not what was written" in stacks("verify", "hello@2.0", status=28).stdout
    head = gzip.compress(b"")[:10]
    (stacks.generation("hello@2.0") / "files.gz").write_bytes(head + b"\xff" * 30)
    assert "files.gz cannot be read" in stacks("which", "--files", "nothing", status=6).stderr


def _differences(stacks: Site) -> None:
    said = stacks("diff", "hello/1.0", "hello/2.0").stdout.splitlines()
    assert said[:4] == [
        "  numpy 1.0 -> 2.0, +2.0 MB",
        "licence   numpy: MIT -> BSD-3-Clause",
        "commands  + h5-2.0",
        "commands  - h5-1.0",
    ]
    stacks("deprecate", "--until", "2031-01-31", "hello/1.0")
    answer = stacks.json("diff", "--notes", "hello/1.0", "hello/2.0")
    assert answer["licences"] == {"numpy": ["MIT", "BSD-3-Clause"]}
    assert "numpy 1.0 → 2.0" in answer["notes"]
    assert "hello/1.0 is deprecated, and gone from 2031-01-31 on." in answer["notes"]


def _graphs(stacks: Site) -> None:
    tree = stacks("graph", "upper").stdout.splitlines()
    assert tree[:2] == ["upper/1.0#1", "├── hello/1.0#1"]
    above = stacks("graph", "--reverse", "hello/1.0").stdout.splitlines()
    assert above == ["hello/1.0#1", "└── upper/1.0#1"]
    stacks("install", "--force", "upper")
    assert stacks("graph", "upper#1").stdout.splitlines()[:2] == [
        "upper/1.0#1 (not the current one, #2)",
        "├── hello/1.0#1",
    ]
    edges = stacks.json("graph")["edges"]
    assert [str(stacks.prefix("upper")) + "#2", str(stacks.prefix("hello@1.0")) + "#1"] in edges
    assert stacks("graph", "--why", "num*", "hello/2.0").stdout.splitlines() == [
        "numpy 2.0 (added by a script)",
        "└── pandas 3.0 (added by a script)",
    ]
    assert stacks("graph", "--format", "svg").stdout.startswith("<svg ")
    assert "digraph" in stacks("graph", "--format", "dot", "--packages", "hello/2.0").stdout
    stacks("graph", "--why", "scipy", "hello/2.0", status=Exit.NOT_FOUND)
    stacks("graph", "--packages", status=Exit.USAGE)
    stacks("graph", "--packages", "upper", status=Exit.NOT_FOUND)


def test_packages_and_files_of_a_wrapped_image_are_found(site: Site, place: Path) -> None:
    status = (
        "Package: zlib1g\nStatus: install ok installed\nVersion: 1:1.2.13\nArchitecture: amd64\n"
    )
    inside = {
        "/usr/bin/tool": static_program(place),
        "/usr/lib/libz.so.1": b"",
        "/var/lib/dpkg/status": status.encode(),
        "/etc/os-release": b"ID=debian\nVERSION_ID=12\n",
    }
    archive = docker_archive(place / "image.tar", inside)
    text = HEAD.format(kind="ContainerStack")
    site.write("tool", f"{text}    image = 'docker-archive:{archive}'\n    commands = 'tool'\n")
    site("install", "tool")
    (row,) = site.json("which", "zlib1g<1:1.3")
    assert (row["version"], row["base"]) == ("1:1.2.13", f"docker-archive:{archive}")
    (row,) = site.json("which", "--files", "libz.so*")
    assert (row["path"], row["base"]) == ("/usr/lib/libz.so.1", "its image")
    assert [each["name"] for each in json.loads(_packages(site))] == ["zlib1g"]


def _change(path: Path, *keys: str) -> None:
    """Take something away from JSON, or from the notes in it, as if nobody had known it."""
    data = json.loads(path.read_text())
    for key in keys:
        data.pop(key, data["notes"].pop(key, None))
    path.write_text(json.dumps(data))


def _packages(site: Site) -> str:
    return (site.generation("tool") / "packages.json").read_text()
