"""Updates by layers: cheap, and the same as what is built whole."""

from __future__ import annotations

import errno
import json
import random
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.indexes import address, wheel
from tests.servers import Web, serve
from tests.stacks import Site
from tests.support import DOWNLOADS, SPOILT
from tests.system.sabotage import WRITES, sabotaged
from tests.system.test_kill import processes_of
from tests.system.test_kill_everywhere import stop_everywhere
from tests.system.wholeness import assert_no_litter
from tykky import lock as locks
from tykky.errors import Exit
from tykky.inventory import files

PUBLIC = "https://pypi.org/simple"  # which has pip
RECIPE = """
import os, signal
from tykky import PipStack

class Lay(PipStack):
    \"\"\"Has layers.\"\"\"

    homepage = "https://example.org"
    license = "MIT"
    versions = "1"
    packages = {packages}
    whole = False

    def finish(self, box):
        # Byte code and what makes it a base for others is there already, in a layer.
        exec(os.environ.get("SAYS", ""))
        there = "ls lib/python3*/site-packages | grep -v -e __pycache__ -e _tykky"
        box.run(f"mkdir -p etc && {{there}} | sort >etc/all")
        box.run("ln -sf all etc/link")

    def test(self, box):
        box.run(["python", "-c", "import " + ", ".join({names})])
"""
BIG = "".join(random.Random(1).choices("abcdefghijklmnop\n", k=400_000))
#: What each package has besides a module of its name, by version.
FILES: dict[str, dict[str, str]] = {
    "big-1": {"bigs/x.py": "x = 1\n", "bigs/gone.py": "", "bigs/data/a": BIG},
    # A module that has become a package, and a folder that has become a file.
    "big-2": {"bigs/x/y.py": "x = 2\n", "bigs/data": BIG},
    "tool-1": {
        "tool-1.data/scripts/tool": "#!python\nimport tool; print(tool.version)\n",
        # Its folder is empty when the second of the two below it is gone.
        "tool-1.data/data/share/tool/a/t.txt": "t",
        "tool-1.data/data/share/tool/b/t.txt": "t",
    },
    "parta-1": {"names/a.py": "", "names/deep/a.py": ""},
    "partb-1": {"names/b.py": ""},
    "same-1": {"names/./b.py": "b = 2\n"},
    "single-1": {},
    # As uv puts it there; pip does not, and no RECORD says it.
    "hollow-1": {"hollows/deep/void/": ""},
}


@pytest.fixture
def lay(site: Site) -> Iterator[Site]:
    """A site with an index of the packages, where every image gets layers."""
    with serve() as web:
        web.heads = True
        for each, more in FILES.items():
            put(web, *each.split("-"), more)
        yield site.with_env(
            TYKKY_PIP_INDEX_URL=address(web),
            TYKKY_PIP_EXTRA_INDEX_URLS=PUBLIC,
            TYKKY_LAYERS_ABOVE="0",
        )


def put(web: Web, name: str, version: str, more: dict[str, str]) -> None:
    file = f"{name}-{version}-py3-none-any.whl"
    web.files[f"/files/{file}"] = wheel(name, version, **more)
    link, page = f'<a href="/files/{file}">{file}</a>\n'.encode(), f"/simple/{name}/"
    web.files[page] = web.files.get(page, b"<!DOCTYPE html>\n") + link


def install(site: Site, *packages: str, options: tuple[str, ...] = ()) -> CompletedProcess[str]:
    names = [package.partition("==")[0] for package in packages]
    site.write("lay", RECIPE.format(packages=packages, names=names))
    return site("install", *options, "lay")


def images(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.record("lay")["images"]
    return found


#: Prints everything below a prefix as its commands see it, but for the copy of the record.
LOOK = """
import hashlib, json, os, sys
found = {}
for where, folders, files in os.walk(sys.prefix):
    for name in (*folders, *files):
        path = os.path.join(where, name)
        mode, file = os.lstat(path).st_mode, os.path.isfile(path) and not os.path.islink(path)
        what = os.readlink(path) if os.path.islink(path) else ""
        what = hashlib.sha256(open(path, "rb").read()).hexdigest() if file else what
        found[os.path.relpath(path, sys.prefix)] = (mode, what, os.path.isdir(path))
del found[".tykky-record.json"]
print(json.dumps(found))
"""


def content(site: Site) -> dict[str, tuple[int, str, bool]]:
    """What is in the current generation, looked at by its own Python."""
    python = site.prefix("lay") / "bin/python"
    found: dict[str, tuple[int, str, bool]] = json.loads(
        site.user.run(python, "-I", "-c", LOOK).stdout
    )
    kept = (files.read(site.generation("lay")) or "").split("\n")
    there = {path for path, (mode, _, _) in found.items() if not stat.S_ISDIR(mode)}
    assert {path for path in kept if path[:1] != "/"} - {".tykky-record.json"} == there
    return found


CHANGES = [
    ("big==1", "parta", "partb", "single"),
    ("big==1", "parta", "partb", "single", "tool"),
    ("big==2", "parta", "partb", "single", "tool"),
    ("big==2", "parta"),
    ("big==1", "partb", "single", "tool"),
]


def test_layers_have_the_files_of_what_is_built_whole(lay: Site) -> None:
    for number, packages in enumerate(CHANGES):
        said = install(lay, *packages).stderr
        layered = number not in (0, 4)  # three are enough
        assert ("into a layer of" in said) == layered, said
        assert len(images(lay)) == (number + 1 if layered else 1)
        if not number:
            continue
        found = content(lay)
        if layered and number > 1:
            assert images(lay)[-1]["parent"] == images(lay)[-2]["sha256"]
            # When a file was downloaded, or what was done to it since, is not what is in it.
            for package in locks.read(lay.generation("lay") / "lock.json").packages:
                (DOWNLOADS / "downloads" / package.sha256).chmod(0o644)
            assert lay.json("rebuild", "--check", "lay")["same"]
        if number == 3:
            current = lay.generation("lay").name
            # What is squashed is what would have been built, bit for bit.
            assert "is one image of" in lay("squash", "lay").stderr
            squashed = images(lay)
            install(lay, *packages, options=("--force",))
            assert images(lay) == squashed
            assert content(lay) == found
            lay("rollback", "lay", "--to", current)
    # What is made again is the one that was lost, though others have all of its images but one.
    lay("rollback", "lay", "--to", "2")
    line = [lay.prefix("lay") / "bin/list-packages"]
    before = lay.user.run(*line).stdout
    shutil.rmtree(lay.generation("lay"))
    lay("doctor", "--store", "--fix", status=None)
    assert lay.generation("lay").name == "2"
    assert lay.user.run(*line).stdout == before
    lay("verify", "lay")


def test_what_cannot_be_a_layer_is_built_whole_and_that_is_said(lay: Site) -> None:
    install(lay, "big==1", "partb", "hollow")
    said = install(lay, "big==1", "partb").stderr
    assert "site-packages/hollows has no files, and may be what goes, so that all is" in said
    said = install(lay, "big==1", "partb", "same").stderr
    assert "partb and same have the same file, names/b.py, so that all is built anew" in said
    assert len(images(lay)) == 1
    for options, packages in (
        (("--full",), ("big==1", "partb", "tool")),
        (("-c", "layers.most=0"), ("big==1", "tool")),
        (("-c", "layers.above=1000"), ("big==1",)),
    ):
        assert "into one image" in install(lay, *packages, options=options).stderr
    # What a site does to the contents, it would do once more.
    hooks = lay.hooks("def before_squash(build):\n    (build.scratch.top / 'bin/tool').stat()\n")
    said = install(lay, "big==1", "tool", "parta", options=("-c", f"hooks={hooks}")).stderr
    assert "into one image" in said
    file = lay.repo / "lay/recipe.py"
    # A command that is a link is no package's, and would stay.
    commands = '    commands = {"hi": "tool", "python": "python"}\n    packages ='
    file.write_text(file.read_text().replace("    packages =", commands))
    assert "into one image" in lay("install", "lay").stderr
    assert "into one image" in install(lay, "big==1", "tool", "partb").stderr
    # Another finish may have left something else, so that nobody knows what there would be.
    for old, new in (
        ("ln -sf", "ln -fs"),
        ("whole = False", "whole = True"),
        ("    whole = True\n", ""),
    ):
        file.write_text(file.read_text().replace(old, new))
        assert "into one image" in lay("install", "lay").stderr


def test_what_runs_and_what_is_killed_or_damaged_keeps_the_old_state(lay: Site) -> None:
    install(lay, "big==1")
    before, python = content(lay), lay.prefix("lay") / "bin/python"
    line = [str(python), "-c", "input(); import bigs.gone, bigs.x; print(bigs.x.x)"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(line, env=lay.user.env, **pipes) as running:  # type: ignore[call-overload]
        for whom in ("killpg(0, signal.SIGKILL)", "kill(os.getpid(), signal.SIGKILL)"):
            hurt = lay.with_env(SAYS=f"os.{whom}")
            lay.write("lay", RECIPE.format(packages=("big==2", "tool"), names=("big", "tool")))
            killed = hurt.start("install", "lay")
            _, said = killed.communicate(timeout=60)
            SPOILT["kills"] += 1
            assert killed.returncode in (-signal.SIGKILL, Exit.FAILED), said
            assert content(lay) == before
            assert lay.found()[0]["generation"] == 1
        assert len(processes_of(lay.root.parent)) == 1  # this
        install(lay, "big==2", "tool")
        lay("gc", "--days", "0")
        said, _ = running.communicate("\n")
        assert said == "1\n"  # of the generation that it had begun in
    # One image is missing or another: nothing is started, and what is installed next is whole.
    lower = lay.prefix("lay") / ".tykky/images" / images(lay)[0]["file"]
    whole = lower.read_bytes()
    lower.chmod(0o644)
    # What cannot be read of it is not as if there were nothing.
    lower.write_bytes(whole[:4096] + bytes(4096) + whole[8192:])
    assert lower.name in lay("squash", "lay", status=Exit.DAMAGED).stderr
    lower.write_bytes(whole[:-4096])
    done = lay.user.run(lay.prefix("lay") / "bin/tool", status=None, env={"TYKKY_NO_SHARE": "1"})
    assert done.returncode == 126 or done.returncode == 125, done.stderr
    assert lower.name in done.stderr
    assert lower.name in lay("verify", "lay", status=Exit.DAMAGED).stdout
    assert "into one image" in install(lay, "big==2", "tool", "single").stderr
    content(lay)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["install", "squash"])
def test_what_is_killed_anywhere_is_one_generation_or_the_other(lay: Site, verb: str) -> None:
    repos = [lay.repo / "first", lay.repo / "then"]
    for repo, packages in zip(repos, (("big==1",), ("big==2", "tool")), strict=True):
        names = [package.partition("==")[0] for package in packages]
        Site(lay.user, repo).write("lay", RECIPE.format(packages=packages, names=names))
    prepare, install = (["-c", f"repos={repo}", "install", "lay"] for repo in repos)
    says = "import big; print(big.version)"

    def check(here: Site, status: int) -> None:
        assert status == -signal.SIGKILL
        python = here.prefix("lay") / "bin/python"
        before = {"install": "12", "squash": "2"}[verb]
        assert here.user.run(python, "-c", says).stdout.strip() in before
        here(*install)
        if verb == "squash":
            here("squash", "lay")
        assert here.user.run(python, "-c", says).stdout == "2\n"
        assert len(images(here)) == (2 if verb == "install" else 1)
        here("gc", "--days", "0")
        here("verify")
        assert_no_litter(here)

    if verb == "install":
        stop_everywhere(lay, signal.SIGKILL, install, prepare=[prepare], check=check, every=12)
    else:
        line = ["squash", "lay"]
        stop_everywhere(lay, signal.SIGKILL, line, prepare=[prepare, install], check=check, every=9)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["install", "squash"])
def test_a_full_disk_leaves_the_generation_that_there_was(lay: Site, verb: str) -> None:
    install(lay, "big==1")
    install(lay, "big==2", "tool")
    python, says = lay.prefix("lay") / "bin/python", "import big; print(big.version)"
    if verb == "install":
        lay("rollback", "lay")
        lay("gc", "--days", "0")
    before, generation = content(lay), lay.generation("lay")
    log = lay.root.with_name("operations")
    below = f"{lay.root}:{lay.user.env['TYKKY_BUILD_DIR']}"
    # To know what it writes; what it has made is taken back.
    sabotaged(lay, below=below, ops=WRITES, log=log)(verb, "lay")
    lines = log.read_text().splitlines()
    points = [n for n, line in enumerate(lines, 1) if line.split()[0] in ("write", "pwrite64")]
    assert len(points) > 5
    codes = set()
    for at in points[:: len(points) // 4]:
        lay("rollback", "lay", "--to", generation.name)
        lay("gc", "--days", "0")
        full = sabotaged(lay, below=below, ops=WRITES, at=at, errno=errno.ENOSPC, onward=1)
        done = full(verb, "lay", status=None)
        SPOILT["errors of disks"] += 1
        codes.add(done.returncode)
        assert codes <= {0, Exit.NO_SPACE}, f"{lines[at - 1]}: {done.stderr}"
        assert "Traceback" not in done.stderr
        if lay.generation("lay") == generation:
            assert done.returncode
            assert content(lay) == before
        else:  # it was committed, and what could not be written lies around it
            assert lay.user.run(python, "-c", says).stdout == "2\n"
    assert Exit.NO_SPACE in codes
    lay(verb, "lay")
    assert lay.user.run(python, "-c", says).stdout == "2\n"
    lay("gc", "--days", "0")
    lay("verify")
    assert_no_litter(lay)
