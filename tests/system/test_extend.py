"""Packages of one's own on top of a stack of somebody else's, who knows nothing of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.indexes import index, wheel
from tests.servers import Web
from tests.stacks import LMOD, Site, listing, recipe, settle
from tests.support import log_in, new_place, remove
from tests.system.strangers import is_root, stranger
from tykky.errors import Exit
from tykky.resources import resource

LOW = "packages = 'tykkylow=={}', 'tykkykeep==1.0', 'markupsafe'\ncommands = 'python*', 'say-low'"
INDEX = "tykkyone==1.0", "tykkytwo==1.0", "tykkykeep==1.0", "tykkykeep==2.0"
#: A command of the stack that tells whose Python runs it, and what that can import.
SAY = """\
import importlib.util, sys
def say():
    print(sys.prefix, *[name for name in sys.argv[1:] if importlib.util.find_spec(name)])
"""
WHERE = "import tykkylow, tykkyone; print(tykkylow.version, tykkylow.__file__, tykkyone.__file__)"


def offer(web: Web, version: str) -> None:
    """Put a version of the stack's package into the index: it has the command ``say-low``."""
    info, file = f"tykkylow-{version}.dist-info", f"tykkylow-{version}-py3-none-any.whl"
    points = {f"{info}/entry_points.txt": "[console_scripts]\nsay-low = tykkysay:say\n"}
    web.files[f"/files/{file}"] = wheel("tykkylow", version, tykkysay__py=SAY, **points)
    page = web.files.get("/simple/tykkylow/", b"<!DOCTYPE html>\n")
    web.files["/simple/tykkylow/"] = page + f'<a href="/files/{file}">{file}</a>\n'.encode()


@pytest.fixture(scope="module")
def people() -> Iterator[tuple[Site, Site]]:
    """Who owns a central root with the stack ``low``, and somebody who may only read that."""
    place = new_place()
    with index(*INDEX) as web:
        offer(web, "1.0")
        offer(web, "2.0")
        more = "https://pypi.org/simple"  # which has pip
        env = {"TYKKY_PIP_INDEX_URL": f"{web.address}/simple", "TYKKY_PIP_EXTRA_INDEX_URLS": more}
        owner = settle(place, log_in(place)).with_env(**env)
        recipe(owner, LOW.format("1.0"), "low", "PipStack")
        owner.hello()
        owner("install", "low", "hello")
        person = stranger(owner, place)
        for name in ("TYKKY_ROOT", "TYKKY_REPOS"):
            del person.env[name]
        give(person.home, str(person.number))
        person.run("chmod", "755", person.home)
        person.bash(f"mkdir -p .config/tykky; echo 'root: {owner.root}' >.config/tykky/config.yaml")
        yield owner, Site(person, person.home / ".tykky/recipes")
        person.leave()
        give(person.home, "0")
    remove(place)


def give(home: Path, whom: str) -> None:
    """Let a home belong to somebody; in the namespace of the strangers, 0 is who runs the tests."""
    become = [] if is_root() else ["unshare", "--user", "--map-auto", "--map-root-user", "--"]
    subprocess.run([*become, "chown", "-R", whom, home], check=True)


def activated(person: Site, script: str, status: int = 0) -> str:
    """What a script prints where the extension is active."""
    setup = f". {resource('share')}/setup-env.sh; tykky activate my-low"
    done = person.user.bash(f"{setup}; {script}", status=status)
    return done.stderr if status else done.stdout


def test_extension_goes_into_a_root_of_ones_own_and_grows(people: tuple[Site, Site]) -> None:
    owner, person = people
    before = listing(owner.root)
    answer = person.json("extend", "low", "tykkyone")
    prefix = person.user.home / ".tykky/store/my-low/1"
    assert (answer["prefix"], answer["base"]) == (str(prefix), "low/1#1")
    assert answer["added"] == {"tykkyone": "1.0"}
    version, low, one = activated(person, f"python -c '{WHERE}'").split()
    assert version == "1.0"
    assert low.startswith(str(owner.prefix("low")))
    assert one.startswith(str(prefix))
    # The stack's own command runs where the package is.
    assert activated(person, "say-low tykkyone tykkytwo").split() == [str(prefix), "tykkyone"]
    # So does an environment on top of both.
    venv = "python -m venv --without-pip --system-site-packages v; v/bin/python -c"
    assert activated(person, f"{venv} '{WHERE}'").split()[1:] == [low, one]
    assert len([*(prefix / ".tykky/images").iterdir()]) == 1
    assert len([name for name in listing(prefix) if not name.startswith("bin/")]) <= 20
    # What one asks for again is added, and nothing else changes.
    said = person("extend", "--name", "my-low", "low", "tykkytwo>=1").stderr
    assert "is kept there by somebody who cannot know of my-low/1: when it is gone" in said
    assert activated(person, "say-low tykkyone tykkytwo").split()[1:] == ["tykkyone", "tykkytwo"]
    text = (person.repo / "my-low/recipe.py").read_text()
    assert '    packages = "tykkyone", "tykkytwo>=1"\n' in text
    assert listing(owner.root) == before
    assert "low/1 with tykkyone, tykkytwo." in person("find", "my-low").stdout
    person("--root", "mine", "verify", "my-low")
    assert "nothing" in person("--root", "mine", "outdated", "my-low").stderr


def test_stack_of_somebody_else_is_relocated_into_a_root_of_ones_own(
    people: tuple[Site, Site],
) -> None:
    owner, person = people
    if not (person.repo / "my-low").exists():
        person("extend", "low", "tykkyone")
    before, theirs = listing(owner.root), owner.prefix("low")
    version = owner.record("low")["packages"]
    (answer,) = person.json("relocate", "low", "./own")
    prefix = person.user.home / "own/store/low/1"
    assert answer["prefix"] == str(prefix)
    assert str(theirs) not in "".join(map(str, (answer["needs"], answer["refused"])))
    code = "import markupsafe._speedups as m, tykkylow, sys; print(m.__file__, sys.prefix)"
    library = f"{prefix}/lib/python3.11/site-packages"
    found, at = person.user.run(prefix / "bin/python", "-c", code).stdout.split()
    assert (found.rpartition("/")[0], at) == (f"{library}/markupsafe", str(prefix))
    pip = (prefix / "bin/python", "-m", "pip", "list", "--format=freeze")
    listed = person.user.run(*pip).stdout
    assert listed.splitlines() == sorted("==".join(each) for each in version)
    # What is on top of it takes it from there, where it is the same; and is one of two then.
    (answer,) = person.json("--root", "mine", "relocate", "my-low", "./own")
    assert answer["needs"] == {f"{theirs}#1": f"{prefix}#1"}
    mine = prefix.parent.parent / "my-low/1"
    says = person.user.run(mine / "bin/say-low", "tykkyone", "tykkytwo").stdout.split()
    assert says[:2] == [str(mine), "tykkyone"]
    assert person.user.run(mine / "bin/python", "-c", code).stdout.startswith(library)
    person("--root", "./own", "verify")
    load = "module load my-low; say-low tykkyone"
    done = person.user.bash(f". {LMOD}; module use ~/own/modules; {load}")
    assert done.stdout == f"{mine} tykkyone\n"
    assert listing(owner.root) == before


#: What cannot be, the code of the refusal, and what it says.
REFUSED = {
    "extend low tykkylow==2.0": (Exit.RESOLVE, "low/1#1 has tykkylow 1.0, and what is asked"),
    "extend my-low no-such-package-anywhere": (Exit.UNKNOWN_PACKAGE, "no-such-package-anywhere"),
    "extend low tykkylow>=1 --name other": (Exit.SPEC, "nothing to put on top of low/1#1"),
    "extend low tykkyone --name low": (Exit.CONFLICT, "by its own name"),
    "extend low tykkyone --name Low": (Exit.SPEC, "cannot be the name"),
    "extend hello tykkyone": (Exit.CONFLICT, "hello/1.0 has no Python of its own"),
    "extend my-low tykkytwo --name other": (Exit.CONFLICT, "is on top of another stack itself"),
    "extend low/7 tykkyone": (Exit.NOT_FOUND, "not installed"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_extended_leaves_all_as_it_was(
    people: tuple[Site, Site], words: str
) -> None:
    _, person = people
    if not (person.repo / "my-low").exists():
        person("extend", "low", "tykkyone")
    text, before = (
        (person.repo / "my-low/recipe.py").read_text(),
        listing(person.user.home / ".tykky"),
    )
    code, says = REFUSED[words]
    assert says in person(*words.split(), status=int(code)).stderr
    assert (person.repo / "my-low/recipe.py").read_text() == text
    assert listing(person.user.home / ".tykky") == before


def test_two_at_once_make_one_extension_that_has_both(people: tuple[Site, Site]) -> None:
    _, person = people
    script = """
        for each in tykkyone tykkytwo; do
            tykky extend low --name both $each >$each.log 2>&1 &
            running="$running $!"
        done
        for each in $running; do wait $each; echo $?; done
        cat tykkyone.log tykkytwo.log >&2
    """
    done = person.user.bash(script)
    assert {*done.stdout.split()} == {"0"}, done.stderr
    python = person.user.home / ".tykky/store/both/1/bin/python"
    person.user.run(python, "-c", "import tykkyone, tykkytwo")
    person("--root", "mine", "verify", "both")


def test_update_puts_an_extension_on_the_stack_as_it_is_now(people: tuple[Site, Site]) -> None:
    owner, person = people
    person("extend", "low", "tykkyone")
    recipe(owner, LOW.format("2.0"), "low", "PipStack")
    owner("install", "low")
    assert "on low/1#1, and low/1#2 is there now" in person("--root", "mine", "outdated").stdout
    owner("gc", "--days", "0")  # who does not know of the extension
    assert "needs generation 1 of" in activated(person, "say-low", status=125)
    assert "my-low/1" in person("--root", "mine", "verify", status=int(Exit.DAMAGED)).stdout
    person("--root", "mine", "update", "my-low")
    assert activated(person, f"python -c '{WHERE}'").split()[0] == "2.0"
    # What was compiled for another Python is made anew, and not by accident.
    file = person.repo / "my-low/recipe.py"
    person.user.run("sed", "-i", "s/python = .*/python = '3.99'/", file)
    said = person("--root", "mine", "update", "my-low", status=int(Exit.BASE)).stderr
    assert "has no Python 3.99" in said
    assert "--name my-low' takes the Python that there is" in said
    person("extend", "my-low")
    assert "3.99" not in file.read_text()
    # What is left of one whose stack is gone says so, whatever is tried.
    owner("uninstall", "low")
    for verb, code in ("update", Exit.BASE), ("outdated", Exit.BASE):
        said = person("--root", "mine", verb, "my-low", status=int(code)).stderr
        assert "the base 'stack:" in said
    said = person("extend", "my-low", status=int(Exit.NOT_FOUND)).stderr
    assert "on another version: tykky extend low@VERSION --name my-low" in said
    owner("uninstall", "--undo", "low")


def test_a_package_of_the_stack_is_hidden_only_where_that_is_wished(
    people: tuple[Site, Site],
) -> None:
    owner, person = people
    now = owner.record("low")["packages"]
    new = "1.0" if ["tykkylow", "2.0"] in now else "2.0"
    words = ("extend", "low", f"tykkylow=={new}", "tykkytwo", "tykkykeep", "--name", "own")
    assert f"would bring tykkylow {new}" in person(*words, status=int(Exit.RESOLVE)).stderr
    assert not (person.repo / "own").exists()
    answer = person.json(*words, "--allow-shadow")
    assert [*answer["shadowed"]] == ["tykkylow"]  # and nothing that need not be
    assert "shadows = True" in (person.repo / "own/recipe.py").read_text()
    prefix = person.user.home / ".tykky/store/own/1"
    code = "import tykkylow; print(tykkylow.version)"
    assert person.user.run(prefix / "bin/python", "-c", code).stdout == f"{new}\n"
    # Taken out by hand, it is the stack's again.
    person.user.run("sed", "-i", 's/"tykkylow==...", //', person.repo / "own/recipe.py")
    person("--root", "mine", "install", "own")
    assert person.user.run(prefix / "bin/python", "-c", code).stdout != f"{new}\n"
    assert "own stays" in person("--root", "mine", "uninstall", "own").stderr
