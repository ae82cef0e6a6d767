"""Installs that work at another path than where they were made, with the same images."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.channel.files import PLACEHOLDER
from tests.launcher.stacks import command_lines
from tests.stacks import Site, listing
from tests.support import User
from tests.system.conda_site import make
from tests.system.conda_site import recipe as conda_recipe
from tykky.errors import Exit

#: A stack with one of each that can name its prefix.
ODDS = r'''
from tykky import DiskStack

SHOW = '#include <stdio.h>\nint main(void) { puts("%s/share/data"); return 0; }\n'
CODE = "import os, other, says; says.say(); other.say(); print(os.readlink(os.environ['LINK']))"
SAYS = '#!/bin/sh\nLINK=%s/share/link PYTHONPATH=%s/lib exec /usr/bin/python3 -c "' + CODE + '"\n'


class Odds(DiskStack):
    """Odds and ends."""

    homepage = "https://odds.example"
    license = "MIT"
    versions = "1"
    commands = "show", "linked", "says"

    def build(self, box):
        here = str(box.prefix)
        box.write("bin/says", SAYS % (here, here))
        box.write("lib/says.py", f"def say():\n    print('{here}', say.__code__.co_filename)\n")
        box.write("lib/other.py", "def say():\n    print(say.__code__.co_filename)\n")
        box.write("share/near", f"{here}.1 {here}-x {here}. -I{here}/x:{here}")
        box.run(["ln", "-s", f"{here}/share/near", "share/link"])
        box.run("cd lib; python3 -m compileall -q --invalidation-mode unchecked-hash .")
        box.write("show.c", SHOW % here)
        box.run(f"cc -o bin/show show.c -Wl,-rpath,{here}/lib; rm show.c")
        box.run("ln bin/show bin/linked; chmod +x bin/says")
        # more
'''
#: Archives in which the path is, plainly or not.
ARCHIVES = """
        pack = "import sys, zipfile; z = zipfile.ZipFile('share/z.zip', 'w', 8); "
        pack += "z.writestr('m.py', sys.argv[1] * 99)"
        box.run(["python3", "-c", pack, here])
        box.run("tar -cf share/t.tar share/near")
"""


def layer(prefix: Path) -> tuple[list[str], dict[str, Any]]:
    """The files of the images of an install, the lowest first, and what is said of the last."""
    images = json.loads((prefix / ".tykky/current/record.json").read_text())["images"]
    return [image["file"] for image in images], images[-1]


def inside(user: User, prefix: Path, *words: str) -> str:
    """What unsquashfs says of the last image of an install."""
    file = prefix / ".tykky/images" / layer(prefix)[0][-1]
    return user.run("unsquashfs", *words[:1], file, *words[1:]).stdout


def test_all_that_names_the_old_path_names_the_new_one_and_no_image_changes(
    site: Site, place: Path
) -> None:
    site = site.with_env(TYKKY_ROOT=str(place / "longer"))
    site.write("odds", ODDS)
    site("install", "odds")
    old, new, third = (place / root / "store/odds/1" for root in ("longer", "u", "v"))
    (image,) = layer(old)[0]
    direct = site.json("relocate", "odds", place / "v")[0]
    assert direct["emptied"] == ["lib/__pycache__/says.cpython-311.pyc"]
    assert direct["programs"] == ["bin/linked", "bin/show"]
    files, fact = layer(third)
    site("relocate", "odds", place / "u")
    assert layer(new)[0][0] == image
    assert (old / ".tykky/images" / image).samefile(new / ".tykky/images" / image)
    site.root.rename(place / "gone")
    there = site.with_env(TYKKY_ROOT=str(place / "u"))
    says = f"{new} {new}/lib/says.py\n{new}/lib/other.py\n{new}/share/near\n"
    assert there.lmod("module load odds; says").stdout == says
    for name in ("show", "linked"):
        said = site.user.run(new / "bin" / name).stdout.strip()
        assert os.path.normpath(said) == f"{new}/share/data"
        assert len(said) == len(f"{old}/share/data")
    near = inside(site.user, new, "-cat", "share/near")
    assert near == f"{old}.1 {old}-x {new}. -I{new}/x:{new}"
    names = [line for line in inside(site.user, new, "-lc").splitlines() if " " not in line]
    assert [name.removeprefix("squashfs-root/") for name in names] == [
        ".tykky-record.json",
        "bin/linked",
        "bin/says",
        "bin/show",
        "lib/__pycache__/says.cpython-311.pyc",  # and not of other.py
        "lib/says.py",
        "share/link",
        "share/near",
    ]
    there("verify")
    assert f"relocate (from {old})" in there("history", "odds").stdout
    assert "is what its recipe" in there("rebuild", "--check", "odds").stdout
    # Relocated again, it is the same as from the first place: never a layer on such a layer.
    site.user.run("rm", "-r", place / "v")
    assert there.json("relocate", "odds", place / "v")[0]["did"] == "relocated"
    assert layer(third) == (files, fact)
    assert there.json("relocate", "odds", place / "v")[0]["did"] == "nothing"
    # What a cleaner has taken is made again from the layer, and an update is built where it is.
    for name in ("record.json", "launch.conf"):
        (new / ".tykky/current" / name).unlink()
    there("doctor", "--store", "--fix")
    assert there.lmod("module load odds; says").stdout == says
    site.write("odds", ODDS.replace("Odds and ends", "Odds"))
    there("install", "--force", "odds")
    assert len(layer(new)[0]) == 1
    assert there.lmod("module load odds; says").stdout == says
    there("verify")


def test_a_relocation_that_is_ended_leaves_no_process(site: Site, place: Path) -> None:
    more = "box.run('truncate -s 2G share/large')  # takes a while to look through"
    site.write("odds", ODDS.replace("# more", more))
    site("install", "odds")
    build = os.fsencode(site.user.env["TYKKY_BUILD_DIR"])

    def at_work() -> list[int]:
        """Who looks through it: their home is in the directory of the builds."""
        found = []
        for pid, line in command_lines():
            with suppress(OSError):
                if "rewire.py" in line and build in Path(f"/proc/{pid}/environ").read_bytes():
                    found.append(pid)
        return found

    running = site.start("relocate", "odds", place / "new", env={"TYKKY_JOBS": "2"})
    end = time.monotonic() + 60
    while len(at_work()) < 2:
        assert running.poll() is None and time.monotonic() < end
    running.terminate()
    assert running.wait() == Exit.TERMINATED
    while at_work():
        assert time.monotonic() < end
        time.sleep(0.1)
    assert not (place / "new/store/odds/1/.tykky/current").exists()


def test_what_cannot_be_changed_is_refused_by_name_and_nothing_is_done(
    site: Site, place: Path
) -> None:
    site.write("odds", ODDS.replace("# more", ARCHIVES.strip()))
    site("install", "odds")
    code, root = int(Exit.PATH_TOO_LONG), place / "longer"
    said = site("relocate", "odds", root, status=code).stderr
    for name, why in {
        "bin/show": "has room for",
        "bin/linked": "has room for",
        "share/z.zip": "m.py in it has the path",
        "share/t.tar": "a tar archive",
    }.items():
        assert any(name in line and why in line for line in said.splitlines()), (name, said)
    assert "4 files of it name" in said
    assert not (root / "store/odds").exists()
    assert not (root / "modules/odds").exists()
    answer = site.json("relocate", "--dry-run", "odds", root, status=code)[0]
    assert [name for name, _ in answer["refused"]] == [
        "bin/linked",
        "bin/show",
        "share/t.tar",
        "share/z.zip",
    ]
    assert (answer["did"], len(answer["text"])) == ("dry run", 3)
    # In the first line of a script, and in text of any kind, not every path can be.
    site.hello(
        "script",
        more="""
        def finish(self, box):
            box.write("share/script", f"#!{box.prefix}/bin/hello\\n")
    """,
    )
    site("install", "script")
    for name, why in (("x" * 99, "bytes too long"), ("a b", "can hold the path")):
        assert why in site("relocate", "script", place / name, status=code).stderr
    # What is offered instead does it.
    again = said.split("from its lock: '")[1].split("';")[0]
    site.user.bash(again)
    assert (
        site.user.run(root / "store/odds/1/bin/show").stdout == f"{root}/store/odds/1/share/data\n"
    )


def test_a_conda_package_has_room_for_a_longer_path(place: Path, user: User) -> None:
    site = make(place, user)
    conda_recipe(site, "data", 'packages = "prefixed", "activated"')
    site("install", "data")
    longer = place / ("longer" * 5)
    site("relocate", "data", longer)
    prefix = longer / "store/data/1.0"
    assert user.run(prefix / "bin/show-prefix").stdout == f"{prefix}\n"
    assert f"# {prefix}/share\n" in inside(user, prefix, "-cat", "etc/prefixed.conf")
    there = site.with_env(TYKKY_ROOT=str(longer))
    there("verify")
    said = there.lmod("module load data; show-data").stdout
    assert f"DATA_HOME={prefix}/share/data home\n" in said
    assert str(site.root) not in said
    longest = place / ("x" * 250)
    said = site("relocate", "data", longest, status=int(Exit.PATH_TOO_LONG)).stderr
    assert f"bin/show-prefix: it is no text, and has room for {len(PLACEHOLDER)} bytes" in said


def test_a_root_that_was_copied_works_where_it_is(site: Site, place: Path) -> None:
    site.hello("low")
    site.hello("upper", more="needs = 'low'")
    text = (site.repo / "upper/recipe.py").read_text()
    low = f"exec {site.root}/store/low/1.0/bin/hello upper"
    (site.repo / "upper/recipe.py").write_text(text.replace("echo hello", low))
    site("install", "low")
    site("install", "--force", "low")
    site("install", "upper")
    copy = place / "t2"
    shutil.copytree(site.root, copy, symlinks=True)
    before = {name: (site.root / name).lstat().st_mtime_ns for name in listing(site.root)}
    there = site.with_env(TYKKY_ROOT=str(copy))
    unchanged = listing(copy)
    said = there("relocate", "--all", "--dry-run").stdout
    assert f"needs {copy}/store/low/1.0#2, which was {site.root}/store/low/1.0#2" in said
    assert listing(copy) == unchanged
    remedy = there("refresh", "low", status=int(Exit.NOT_FOUND)).stderr
    assert f"'tykky relocate {copy}/store/low/1.0'" in remedy
    moved = there.json("relocate", "--all")
    assert [answer["module"] for answer in moved] == ["low/1.0", "upper/1.0"]
    assert "nothing in this root was made elsewhere" in there("relocate", "--all").stderr
    there("uninstall", "low#1")  # came with the copy
    there("verify")
    assert {name: (site.root / name).lstat().st_mtime_ns for name in listing(site.root)} == before
    # A moved root is a copied one whose original is gone.
    site.root.rename(place / "gone")
    assert there.lmod("module load upper; hello").stdout == "hello 1.0 upper 1.0\n"
    copy.rename(place / "t3")
    third = site.with_env(TYKKY_ROOT=str(place / "t3"))
    refused = site.user.run(place / "t3/store/low/1.0/bin/hello", status=125).stderr
    assert f"'tykky relocate {place}/t3/store/low/1.0'" in refused
    # What needs another that has not come yet says so; by its name it is found.
    said = third("relocate", "upper", status=int(Exit.NOT_FOUND)).stderr
    assert f"relocate that first: 'tykky relocate {place}/t3/store/low/1.0'" in said
    both = [third.start("relocate", "low") for _ in range(2)]
    for each in both:  # one of them has nothing left to do
        assert each.communicate()[1].count("Traceback") == each.returncode == 0
    assert len([*(place / "t3/store/low/1.0/.tykky/generations").iterdir()]) == 1
    third("relocate", place / "t3/store/upper/1.0")
    assert third.lmod("module load upper; hello").stdout == "hello 1.0 upper 1.0\n"
    third("gc", "--days", "0")
    third("verify")
    assert third.json("install", "upper")[0]["did"] == "nothing"


def test_one_that_moves_to_another_root_leaves_its_own(site: Site, place: Path) -> None:
    site.hello()
    site("install", "hello")
    site.hello("upper", more="needs = 'hello'")
    site("install", "upper")
    said = site("relocate", "--move", "hello", place / "u", status=int(Exit.CONFLICT)).stderr
    assert "is needed by upper/1.0#1" in said
    assert not (place / "u").exists()
    site("uninstall", "upper")
    wrong = place / "u/store/hello/2.0"
    assert "name the root alone" in site("relocate", "hello", wrong, status=2).stderr
    # Where it is is told by the root, its name, or the whole path.
    words = ("-c", f"roots=own={place}/u", "relocate", "--move", "hello", "own")
    assert site.json(*words)[0]["prefix"] == f"{place}/u/store/hello/1.0"
    assert site.found("hello") == []
    assert site.user.run(place / "u/store/hello/1.0/bin/hello").stdout == "hello 1.0\n"
    site("gc", "--days", "0")
    there = site.with_env(TYKKY_ROOT=f"{place}/u")
    there("relocate", "hello", site.root / "store/hello/1.0")
    assert site.lmod("module load hello; hello").stdout == "hello 1.0\n"
    assert len(site.images("hello")) == 1  # where it was made it needs no layer
    # What is damaged is not taken anywhere.
    (image,) = (place / "u/store/hello/1.0/.tykky/images").glob(site.images("hello")[0].name)
    for file, what in ((site.generation("hello") / "lock.json", "lock.json"), (image, image.name)):
        data = file.read_bytes()
        file.unlink()
        file.write_bytes(bytes([*data[:-9], data[-9] ^ 1, *data[-8:]]))
        source = file.parents[3] if what == "lock.json" else file.parents[2]
        said = site("relocate", source, place / "w", status=int(Exit.DAMAGED)).stderr
        assert f"{what} is not what was" in said
    assert not (place / "w/store/hello").exists()


#: What somebody writes into a record of theirs who wants files of whoever relocates it elsewhere.
HOSTILE: dict[str, dict[str, Any]] = {
    "a module that leads elsewhere": {"module": "../../hello"},
    "a command that leads elsewhere": {"commands": ["../../../../../home/pwned"]},
    "no path": {"prefix": "/x"},
    "a need of no place": {"needs": ["/x#1"], "needed": {"/x#1": "0"}},
    "an image that leads elsewhere": {"images": [{"file": "../../../../home/pwned"}]},
    "no paths": {"images": [{"paths": 7}]},
    "a pipe": {},
}


def test_a_record_that_somebody_has_made_up_leads_nowhere_else(site: Site, place: Path) -> None:
    site.hello()
    site("install", "hello")
    folder = site.generation("hello")
    good = (folder / "record.json").read_text()
    (site.prefix("hello") / ".tykky/state.json").unlink()  # in which a note would tell of it
    for what, change in HOSTILE.items():
        facts = json.loads(good)
        images = [{**facts["images"][0], **image} for image in change.get("images", [{}])]
        (folder / "record.json").write_text(json.dumps({**facts, **change, "images": images}))
        if what == "a pipe":
            os.mkfifo(folder / "pipe")
        source = folder.parents[2]
        done = site("relocate", source, place / "u", status=int(Exit.DAMAGED))
        assert "Traceback" not in done.stderr, what
    assert not (place / "home/pwned").exists()
    assert not (place / "u/store/hello").exists()
