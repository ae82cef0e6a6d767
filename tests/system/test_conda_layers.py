"""Conda stacks of layers: what changes of one, and what users put over the images of another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.indexes import address, index
from tests.stacks import Site, listing
from tests.support import log_in, new_place, remove
from tests.system.conda_site import make, recipe
from tests.system.test_failures_disk import elsewhere
from tykky.errors import Exit

#: A command that tells all files: their contents, kinds, modes and links, but for the record's.
_LOOK = """\
#!/bin/sh
cd {} && find . -type f ! -name .tykky-record.json -exec sha256sum {{}} + | sort
find . ! -name .tykky-record.json ! -name . -printf '%P %y %m %l\\n' | sort
"""
_LINES = """\
packages = {}
pip = {}
whole = False

def finish(self, box):
    script = box.write("bin/look", {!r}.format(box.prefix))
    box.run(["chmod", "755", script])
"""


def write(site: Site, name: str, packages: str, pip: str = "") -> None:
    wanted = repr(tuple(packages.split())), repr(tuple(pip.split()))
    recipe(site, name, _LINES.format(*wanted, _LOOK))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A site with the conda stack ``low``, which has Python and something of pip."""
    place = new_place()
    with index("tykkyone==1.0", "tykkytwo==1.0", "tykkythree==1.0") as web:
        env = {"TYKKY_PIP_INDEX_URL": address(web), "TYKKY_LAYERS_ABOVE": "0"}
        found = make(place, log_in(place)).with_env(**env)
        write(found, "low", "python=3.11 six=1.17 shared=1 ballast", "tykkyone")
        found("install", "low")
        yield found
    remove(place)


def looks(site: Site, name: str) -> list[str]:
    prefix = site.root / "store" / name / "1.0"
    return site.user.run(prefix / "bin/look").stdout.splitlines()


def images(site: Site, name: str) -> int:
    return len(site.record(name)["images"])


#: What a stack has one after the other, and why it is built whole then, if it is.
_STEPS = (
    ("ballast prefixed shared=1", ""),
    ("ballast shared=2 activated", ""),
    ("ballast shared=2 twin", "something else has share/shared/version of what came"),
    ("ballast twin", "another package has share/shared/version of shared-2.0-0 as well"),
    ("ballast scripted", ""),
    ("ballast scripted prefixed", "scripted has a script that may look at what changes"),
)


def test_changed_conda_stack_is_what_is_built_whole(site: Site) -> None:
    said = ""
    for packages, why in _STEPS:
        write(site, "plain", packages)
        before = said
        said = site("install", "plain").stderr
        if not before:
            continue
        assert why in said
        assert images(site, "plain") == (1 if why else 2), packages
        if not why:
            layered = looks(site, "plain")
            site("install", "--force", "plain")
            assert images(site, "plain") == 1
            assert layered == looks(site, "plain"), packages


def test_packages_of_python_and_pip_are_changed_as_if_all_were_new(site: Site) -> None:
    write(site, "low", "python=3.11 six=1.16 tabulate activated ballast", "tykkytwo")
    assert "as a layer" not in site("install", "low").stderr
    assert images(site, "low") == 2
    layered = looks(site, "low")
    site("install", "--force", "low")
    assert images(site, "low") == 1
    assert layered == looks(site, "low")


def test_conda_packages_of_ones_own_are_a_layer_on_a_stack(site: Site) -> None:
    own = site.with_env(TYKKY_ROOT=str(site.root.with_name("own")))
    own("config", "set", "roots", f"central={site.root}")
    low, before = site.prefix("low"), listing(site.root)
    answer = own.json("extend", "low", "tykkythree", "--conda", "prefixed", "packaging")
    place = Path(answer["prefix"])
    assert {*answer["added"]} == {"tykkythree", "prefixed", "packaging"}
    code = "import sys, six, packaging, tykkythree; print(sys.prefix, packaging.__file__)"
    prefix, file = own.lmod(f"module load my-low; python -c '{code}'").stdout.split()
    assert (prefix, file.startswith(str(low))) == (str(low), True)
    assert own.user.run(place / "bin/show-prefix").stdout == f"{low}\n"
    assert "packaging" in own.user.run(place / "bin/list-packages").stdout
    assert "six" not in own.user.run(place / "bin/list-packages").stdout
    assert "packaging" not in own.user.run(low / "bin/list-packages").stdout
    record, below = own.record("my-low"), own.record("low")
    (image,) = record["images"]
    assert image["parent"] == below["images"][-1]["sha256"]
    assert image["bytes"] < below["images"][0]["bytes"] / 20
    assert len([name for name in listing(place) if not name.startswith("bin/")]) <= 20
    own("verify", "my-low")
    assert "is what its recipe" in own("rebuild", "--check", "my-low").stdout
    # The stack itself has only been told that it is held.
    assert {*listing(site.root)} - {*before} <= {"db/low/.lock"}
    number = below["generation"]
    assert f"held #{number}" in site("find", "low").stdout
    # Where it cannot be told, that is said.
    only = f'mount --bind "{site.root}" "{site.root}"; mount -o remount,ro,bind "{site.root}"'
    line = "tykky extend low --conda packaging --name theirs"
    run = f"{own.root}/store/theirs/1.0/bin/python -c 'import packaging, sys; print(sys.prefix)'"
    done = elsewhere(own, f"{only}; {line} && {run}")
    assert done.stdout == f"{low}\n", done.stderr
    assert "is kept there by somebody who cannot know of theirs/1.0" in done.stderr


def test_what_an_extension_may_not_change_is_refused_and_named(site: Site) -> None:
    own = site.with_env(TYKKY_ROOT=str(site.root.with_name("own")))
    if not own.found("my-low"):
        own("config", "set", "roots", f"central={site.root}")
        own("extend", "low", "--conda", "prefixed")
    old = "six=1.16" if "six-1.17" in " ".join(looks(site, "low")) else "six=1.17"
    refused = {
        ("low", "--conda", old): (Exit.RESOLVE, "and what is asked for would bring six"),
        ("low", "--conda", "orphan"): (Exit.RESOLVE, "'no-such-package'"),
        ("low", "--conda", "ballast", "--name", "x"): (Exit.SPEC, "nothing to put on top of low"),
        ("my-low", "--conda", "twin", "--name", "x"): (Exit.CONFLICT, "another stack itself"),
        ("low", "--conda", "not a=spec="): (Exit.RECIPE, "is no package as conda writes them"),
    }
    file = own.repo / "my-low/recipe.py"
    text, before = file.read_text(), listing(own.root)
    for words, (code, says) in refused.items():
        assert says in own("extend", *words, status=int(code)).stderr
    assert (file.read_text(), listing(own.root)) == (text, before)
    own("extend", "low", "--conda", old, "--allow-shadow")
    program = own.prefix("my-low") / "bin/python"
    said = own.user.run(program, "-c", "import six; print(six.__version__)").stdout
    assert said.strip() in f"{old}.0"
    file.write_text(file.read_text().replace('python = "3.11"', 'python = "3.10"'))
    said = own("update", "my-low", status=int(Exit.BASE)).stderr
    assert "has Python 3.11, and the recipe 'my-low' is for 3.10" in said
    file.write_text(file.read_text().replace("3.10", "3.11"))


def test_extension_goes_on_from_the_stack_that_there_is(site: Site) -> None:
    own = site.with_env(TYKKY_ROOT=str(site.root.with_name("own")))
    if not own.found("my-low"):
        own("config", "set", "roots", f"central={site.root}")
        own("extend", "low", "--conda", "prefixed")
    program = own.prefix("my-low") / "bin/show-prefix"
    old = site.record("low")["generation"]
    write(site, "low", "python=3.11 six=1.17 activated ballast", "tykkytwo")
    site("install", "low")
    assert f"low/1.0#{old} is kept: it is held" in site("gc", "--days", "0").stderr
    assert own.user.run(program).stdout
    # What is held can be let go; then it is said what to do.
    site("hold", "--undo", f"low#{old}")
    site("gc", "--days", "0")
    said = own.user.run(program, status=125).stderr
    assert "'tykky update my-low/1.0' goes on from the one that is there now" in said
    own("update", "my-low")
    assert f"held #{old + 1}" in site("find", "low").stdout
    assert own.record("my-low")["images"][0]["parent"] == site.record("low")["images"][-1]["sha256"]
    assert own.user.run(program).stdout
    # Another image under the same number is not what the layer was made for.
    current = own.prefix("my-low") / ".tykky/current/launch.conf"
    conf = current.read_text()
    current.write_text(conf.replace("extends ", "extends 0"))
    assert "on top of another" in own.user.run(program, status=125).stderr
    current.write_text(conf)


def test_a_stack_of_layers_and_an_extension_work_at_another_path(site: Site) -> None:
    (site.user.home / ".config/tykky/config.yaml").unlink(missing_ok=True)  # the other roots
    write(site, "moving", "ballast prefixed shared=1")
    site("install", "moving")
    write(site, "moving", "ballast prefixed activated")
    site("install", "moving")
    count, before = images(site, "moving"), looks(site, "moving")
    assert count > 1
    there = site.with_env(TYKKY_ROOT=str(site.root.with_name("u")))
    answer = site.json("relocate", "moving", there.root)[0]
    assert images(there, "moving") == count + 1
    prefix = there.root / "store/moving/1.0"
    assert site.user.run(prefix / "bin/show-prefix").stdout == f"{prefix}\n"
    after = looks(there, "moving")
    # What was removed stays so, and all that does not name the path is what it was.
    changed = {line.split()[1] for line in {*before} ^ {*after} if " ./" in line}
    assert changed == {f"./{name}" for name in (*answer["text"], *answer["programs"])}
    # An extension lies where the stack does, and on its images only.
    own = site.with_env(TYKKY_ROOT=str(site.root.with_name("v")))
    own("extend", str(site.root / "store/low/1.0"), "--conda", "prefixed", "--name", "mine")
    site.json("relocate", str(own.root / "store/mine/1.0"), there.root)
    said = site.user.run(there.root / "store/mine/1.0/bin/show-prefix").stdout
    assert said == f"{site.root}/store/low/1.0\n"
    there("verify")
    low = site.root / "store/low"
    low.rename(low.with_name("away"))
    said = own("relocate", "mine", there.root.with_name("w"), status=int(Exit.NOT_FOUND)).stderr
    low.with_name("away").rename(low)
    assert "lies on the images of that, and only there" in said
