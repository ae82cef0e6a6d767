"""Conda stacks, from a channel to ``module load``, with rattler and a real channel."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channel import channel
from tests.indexes import address, index
from tests.stacks import Site
from tests.support import User, log_in, new_place, remove
from tests.system.conda_site import make, recipe
from tykky.errors import Exit

_DEMO = """\
packages = "python=3.11", "numpy", "tabulate", "activated", "scripted", "prefixed", "pip"

def test(self, box):
    box.run("python -c 'import numpy'")
"""

# What rattler itself does with the packages of a lock, on plain disk.
_BY_RATTLER = """
import asyncio, json, os, sys
from pathlib import Path
import rattler

async def main(lock, prefix):
    records = []
    for package in json.loads(Path(lock).read_text())["packages"]:
        path = package["url"].removeprefix("file://")
        record = await rattler.RepoDataRecord.from_package_archive(path)
        record.channel = package["url"].rsplit("/", 2)[0]
        records.append(record)
    await rattler.install(records, prefix, cache_dir=Path(prefix, "cache"), show_progress=False)

asyncio.run(main(*sys.argv[1:]))
os._exit(0)
"""


@pytest.fixture(scope="module")
def demo() -> Iterator[Site]:
    """A site with the conda stack ``demo`` in it, locked and installed, that no test changes."""
    place = new_place()
    site = make(place, log_in(place))
    recipe(site, "demo", _DEMO)
    site("lock", "demo")
    site("install", "demo")
    yield site
    remove(place)


@pytest.fixture
def conda(place: Path, user: User) -> Site:
    """A site with an empty store that knows the tests' channel."""
    return make(place, user)


def test_module_of_a_conda_stack_gives_its_commands(demo: Site) -> None:
    prefix = demo.prefix("demo")
    said = demo.lmod("module load demo; python -c 'import sys; print(sys.prefix)'; tabulate -h")
    assert said.stdout.startswith(f"{prefix}\nUsage: tabulate")


def test_packages_are_put_on_top_of_a_conda_stack(demo: Site) -> None:
    with index("tykkyone==1.0") as web:
        demo.with_env(TYKKY_PIP_INDEX_URL=address(web))("extend", "demo", "tykkyone", "pip")
    # Though entering puts the stack itself first on PATH, where Python looks for what it is.
    code = "import numpy, sys, tykkyone; print(sys.prefix, numpy.__file__)"
    said = demo.lmod(f"module load my-demo; sh -c 'python -c \"{code}\"'; show-prefix; tabulate -h")
    lower, upper = demo.prefix("demo"), demo.prefix("my-demo")
    first, second, third = said.stdout.splitlines()[:3]
    assert first.split()[0] == str(upper)
    assert first.split()[1].startswith(f"{lower}/")
    assert (second, third.split()[0]) == (str(lower), "Usage:")
    demo("uninstall", "my-demo")


def test_prefix_is_replaced_in_text_and_in_programs(demo: Site) -> None:
    prefix = demo.prefix("demo")
    assert demo.user.run(prefix / "bin/show-prefix").stdout == f"{prefix}\n"
    assert demo.user.run(prefix / "bin/show-prefix-link").stdout == f"{prefix}\n"
    seen = demo.user.run(
        prefix / "bin/python", "-c", f"print(open('{prefix}/etc/prefixed.conf').read())"
    )
    assert f"# {prefix}/share\n" in seen.stdout


def test_image_has_what_rattler_installs_on_plain_disk(demo: Site, place: Path) -> None:
    prefix = demo.prefix("demo")
    (lock,) = (demo.repo / "demo/locks").iterdir()
    # At the very same path, whose length and name are in files, in a namespace of our own.
    plain = place / "plain"
    plain.mkdir()
    box = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
    script = 'mount --bind "$1" "$2"; shift 2; exec "$@"'
    by_rattler = [sys.executable, "-c", _BY_RATTLER, str(lock), str(prefix)]
    shell = [*box, script, "sh", str(plain), str(prefix), *by_rattler]
    subprocess.run(
        shell, check=True, env={**demo.user.env, "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
    )
    (image,) = demo.images("demo")
    subprocess.run(["unsquashfs", "-q", "-n", "-d", str(place / "image"), str(image)], check=True)
    assert not (place / "image/CACHEDIR.TAG").exists()
    ours, theirs = _contents(place / "image"), _contents(plain)
    added = {"share/scripted", *_ADDED}  # the first by a link script
    assert {name for name in ours if name not in theirs} == added
    assert {name: ours.get(name) for name in theirs} == theirs


_ADDED = {
    ".tykky-record.json",
    "bin/list-packages",
    "share/tykky/packages.txt",
    "share/tykky/packages.json",
}


def _contents(root: Path) -> dict[str, tuple[str, object]]:
    """What every file of a tree is, but for byte code and what conda writes of the machine."""
    found: dict[str, tuple[str, object]] = {}
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if (
            name == "CACHEDIR.TAG"
            or name.endswith(".pyc")
            or name.startswith(("conda-meta/", "cache/"))
        ):
            continue
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        elif path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[name] = ("program" if path.stat().st_mode & 0o100 else "file", digest)
    return found


def test_same_lock_gives_the_same_image_wherever_the_cache_is(demo: Site, place: Path) -> None:
    (first,) = demo.record("demo")["images"]
    own_cache = {"TYKKY_CACHE_DIR": str(place / "cache"), "TYKKY_BUILD_DIR": str(place / "build")}
    demo("uninstall", "demo")
    demo("install", "demo", env=own_cache)
    (second,) = demo.record("demo")["images"]
    assert first == second


def test_byte_code_is_used_as_it_is(demo: Site) -> None:
    # Byte code that names the time of its source would be made again at each start.
    code = (
        "import importlib.util as u, colorsys as d, numpy as n, os\n"
        "for m in (d, n, os): print(open(u.cache_from_source(m.__file__), 'rb').read(8)[4:].hex())"
    )
    said = demo.user.run(demo.prefix("demo") / "bin/python", "-c", code).stdout
    assert said.split() == ["01000000"] * 3


def test_a_package_of_the_user_comes_first_and_doctor_says_so(demo: Site, place: Path) -> None:
    folder = place / "home/.local/lib/python3.11/site-packages"
    (folder / "tabulate-0.1.dist-info").mkdir(parents=True)
    (folder / "tabulate-0.1.dist-info/METADATA").write_text("Name: tabulate\nVersion: 0.1\n")
    (folder / "tabulate.py").write_text("__version__ = '0.1'\n")
    python, show = demo.prefix("demo") / "bin/python", "import tabulate as t; print(t.__version__)"
    env = {"HOME": str(place / "home")}
    assert demo.user.run(python, "-c", show, env=env).stdout == "0.1\n"
    done = demo("doctor", "demo", "--json", env=env, status=Exit.CONFLICT)
    (found,) = json.loads(done.stdout)["result"]
    assert (found["name"], found["theirs"], found["ours"]) == ("tabulate", "0.1", "0.9.0")
    assert "PYTHONNOUSERSITE=1" in found["remedy"]
    env["PYTHONNOUSERSITE"] = "1"
    assert demo.user.run(python, "-c", show, env=env).stdout == "0.9.0\n"
    assert demo("doctor", "demo", env=env).stdout == ""


def test_environment_without_python_is_fine(conda: Site) -> None:
    recipe(conda, "data", 'packages = "prefixed"')
    said = conda("lock", "data").stderr + conda("install", "--plan", "data").stdout
    said += conda("install", "data").stderr + conda("info", "data").stdout
    prefix = conda.prefix("data")
    said += gzip.decompress((conda.generation("data") / "build.log.gz").read_bytes()).decode()
    assert said.count("1 package") >= 4 and "1 conda package" in said
    assert not re.search(r"\b1 (conda )?packages", said)
    assert conda.user.run(prefix / "bin/show-prefix").stdout == f"{prefix}\n"


def test_environment_without_any_program_is_installed_without_commands_of_its_own(
    conda: Site,
) -> None:
    recipe(conda, "bare", 'packages = "left"')
    said = conda("install", "bare").stderr
    assert "the stack has no programs: only stacks that need it see what it has" in said
    prefix = conda.prefix("bare")
    assert [path.name for path in (prefix / "bin").iterdir()] == ["list-packages"]
    listed = conda.lmod("module load bare; list-packages").stdout
    assert "left" in listed and "shared" in listed
    recipe(conda, "silent", "packages = 'left'\ncommands = ()")
    assert "no programs" not in conda("install", "silent").stderr
    recipe(conda, "wrong", "packages = 'left'\ncommands = 'left*'")
    assert "offers the command 'left*'" in conda("install", "wrong", status=Exit.RECIPE).stderr


def test_lock_names_addresses_and_digests(demo: Site) -> None:
    (path,) = (demo.repo / "demo/locks").iterdir()
    lock = json.loads(path.read_text())
    numpy = next(package for package in lock["packages"] if package["name"] == "numpy")
    assert numpy["url"].endswith("/linux-64/numpy-1.26.4-py311_0.conda")
    assert (numpy["build"], numpy["license"]) == ("py311_0", "BSD-3-Clause")
    data = Path(numpy["url"].removeprefix("file://")).read_bytes()
    assert hashlib.sha256(data).hexdigest() == numpy["sha256"]


def test_the_environment_says_where_its_packages_are_from_and_who_asked_for_them(
    demo: Site,
) -> None:
    prefix = demo.prefix("demo")
    shown = f"print(open('{prefix}/conda-meta/numpy-1.26.4-py311_0.json').read())"
    kept = json.loads(demo.user.run(prefix / "bin/python", "-c", shown).stdout)
    assert kept["url"] == f"{channel().as_uri()}/linux-64/numpy-1.26.4-py311_0.conda"
    assert kept["requested_specs"] == ["numpy"]
    assert "unpacked" not in json.dumps(kept)


def test_the_smallest_recipe_that_comes_with_tykky_is_built_from_conda_packages(
    conda: Site,
) -> None:
    site = conda.with_env(TYKKY_CONDA_ALIASES=f"conda-forge={channel().as_uri()}")
    site("install", "tabulate")
    assert site.lmod("module load tabulate; echo a b | tabulate").stdout.endswith("\n")


def test_recipes_whose_channels_are_elsewhere_are_audited_but_for_their_locks(conda: Site) -> None:
    answers = conda.json("audit", "qiime2", "python-geo", "tabulate")
    assert len(answers) == 6
    assert all(
        not answer["problem"] and "must be reached" in answer["unlocked"] for answer in answers
    )
    conda(
        "lock",
        "qiime2",
        status=Exit.NETWORK,
        env={
            "TYKKY_CONDA_CHANNEL_ALIAS": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
        },
    )
