"""Stacks of what is on disk: copied, compiled, renamed, with libraries beside the programs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.bills import bill, named
from tests.stacks import Site
from tykky.contents import of_install
from tykky.errors import Exit
from tykky.tools import uv
from tykky.tools.uv import stand_ins

HEAD = """\
from tykky import DiskStack


class Tool(DiskStack):
    '''A tool from disk.'''

    homepage = "https://example.org"
    license = "MIT"
    versions = "1"
"""


def recipe(site: Site, body: str) -> None:
    site.write("tool", HEAD + "".join(f"    {line}\n" for line in body.splitlines()))


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def vendor(place: Path) -> Path:
    """An installation as vendors make them: programs in odd places, data, links."""
    top = place / "vendor tool"
    program(top / "bin/solve", 'cat "$(dirname "$(readlink -f "$0")")/../share/data"')
    program(top / "tools/mesh", "echo mesh $@")
    program(top / "tools/refine", "echo refine $@")
    (top / "tools/README").write_text("not a program\n")
    (top / "share").mkdir()
    (top / "share/data").write_text("42\n")
    (top / "bin/absolute").symlink_to(top / "tools/mesh")
    return top


def test_command_given_by_its_own_path_stays_the_program(site: Site, vendor: Path) -> None:
    commands = "{'solve': 'bin/solve', 'z5': 'bin/solve'}"
    recipe(site, f"source = {str(vendor)!r}\ncommands = {commands}")
    site("install", "tool")
    assert site.lmod("module load tool; solve; z5").stdout == "42\n42\n"


def test_directory_becomes_a_stack_that_no_longer_needs_it(site: Site, vendor: Path) -> None:
    recipe(site, f"source = {str(vendor)!r}\ncommands = 'solve', 'absolute', 'tools/'")
    site("install", "tool")
    assert "extensions" not in (site.modules / "tool/1.lua").read_text()
    vendor.rename(vendor.with_name("gone"))
    done = site.lmod("module load tool; solve; absolute a; mesh b; refine c")
    assert done.stdout.split() == ["42", "mesh", "a", "mesh", "b", "refine", "c"]
    assert sorted(p.name for p in (site.prefix("tool") / "bin").iterdir()) == [
        *("absolute", "mesh", "refine", "solve"),
    ]


def test_packages_of_an_environment_on_disk_are_known(site: Site, place: Path) -> None:
    stand_ins({"one-thing": "1.5", "other": "2"}, place / "wheels")
    wheels = [str(path) for path in (place / "wheels").iterdir()]
    for line in (
        ["venv", "--quiet", "--python", "/usr/bin/python3", place / "env"],
        ["pip", "install", "--quiet", "--offline", "--python", place / "env/bin/python", *wheels],
    ):
        subprocess.run([uv.program(), *line], check=True, env={"PATH": "/usr/bin:/bin"})
    recipe(site, f"source = {str(place / 'env')!r}\ncommands = 'python'")
    # Nobody knows their licences, and that they have none is known once it is built.
    said = site("-c", "licences.unknown=deny", "install", "tool", status=Exit.LICENCE).stderr
    assert "one-thing 1.5: - (licences.unknown: deny)" in said and not site.found("tool")
    said = site("-c", "licences.unknown=ask", "install", "tool").stderr
    assert "ask about the licence unknown of one-thing, other" in said
    assert named(bill(site, "tool"), "pypi") == {("one-thing", "1.5"), ("other", "2")}
    found = of_install(site.generation("tool"))
    code = "from importlib.metadata import distributions as d; print(*(p.name for p in d()))"
    listed = site.user.run(site.prefix("tool") / "bin/python", "-c", code).stdout.split()
    assert [p.name for p in found] == sorted(listed) == ["one-thing", "other"]
    assert {(p.type, p.why) for p in found} == {("pypi", "added")}
    assert "one-thing" in site.lmod("module load tool; list-packages").stdout


def test_what_a_copy_names_of_the_original_is_warned_of(site: Site, vendor: Path) -> None:
    program(vendor / "bin/naming", f'cat "{vendor}/share/data"')
    (vendor / "share/other").write_text(f"not {vendor}2 nor {vendor}-old\n")
    plain = f"source = {str(vendor)!r}\ncommands = 'naming'"
    recipe(site, plain)
    said = site("install", "tool").stderr
    assert f"warning: bin/naming names {vendor}, where the original is run or read" in said
    program(vendor / "bin/second", f'exec "{vendor}/bin/naming"')
    said = site("install", "tool", "--force").stderr
    assert f"warning: 2 files, as bin/naming, name {vendor}," in said and "'mask = True'" in said
    # What makes it good is no fault; nor is what lies over the original.
    mend = f"box.run(['sed', '-i', 's,{vendor},{{}},'.format(box.prefix), *names])"
    names = "names = [box.prefix / 'bin' / name for name in ('naming', 'second')]"
    recipe(site, f"{plain}\ndef build(self, box):\n    {names}\n    {mend}")
    assert "warning" not in site("install", "tool").stderr
    recipe(site, f"{plain}\nmask = True")
    assert "warning" not in site("install", "tool").stderr


def test_commands_get_other_names_and_one_program_may_have_two(site: Site, vendor: Path) -> None:
    renamed = "{'z5': 'bin/solve', 'z': 'solve', 'vendor-mesh': 'tools/mesh'}"
    recipe(site, f"source = {str(vendor)!r}\ncommands = {renamed}")
    site("install", "tool")
    done = site.lmod("module load tool; z5; z; vendor-mesh x; ! command -v solve")
    assert done.stdout.split() == ["42", "42", "mesh", "x"]


def test_source_that_changed_after_it_was_locked_is_not_installed(site: Site, vendor: Path) -> None:
    recipe(site, f"source = {str(vendor)!r}\ncommands = 'solve'")
    site("lock", "tool")
    site("audit", "tool")
    (vendor / "share/data").write_text("43\n")
    done = site("install", "tool", status=Exit.DAMAGED)
    assert "has changed since" in done.stderr and "tykky lock tool@1" in done.stderr
    assert site.found() == []
    site("lock", "tool")
    site("install", "tool")


@pytest.mark.parametrize(
    ("body", "status", "cause"),
    [
        ("commands = 'x'", Exit.RECIPE, "says neither what to copy nor how to build it"),
        ("mask = True\ndef build(self, box): pass", Exit.RECIPE, "masks nothing"),
        ("source = 'opt/x'", Exit.RECIPE, "is not an absolute path"),
        ("source = '/nowhere/x'", Exit.NOT_FOUND, "the directory /nowhere/x"),
        ("source = {vendor!r}\ncommands = 'tools/mush'", Exit.RECIPE, "no such program"),
        ("source = {vendor!r}\ncommands = {{'a': 'tools/*'}}", Exit.RECIPE, "to 2 programs"),
        ("source = {vendor!r}\ncommands = 'tools/*', 'solv'", Exit.RECIPE, "'solve'"),
        ("source = {vendor!r}\nlibraries = 'lib99'", Exit.FINISH, "no directory 'lib99'"),
    ],
)
def test_recipe_without_what_the_kind_needs_is_one_error_and_leaves_nothing(
    site: Site, vendor: Path, body: str, status: Exit, cause: str
) -> None:
    recipe(site, body.format(vendor=str(vendor)))
    done = site("install", "tool", status=None)
    assert cause in done.stderr
    assert done.returncode in (status, Exit.BUILD)
    assert "Traceback" not in done.stderr
    assert site.found() == []


COMPILED = """\
source = {vendor!r}
commands = "ask"
def build(self, box):
    box.copy("answer.c", "src/")
    box.copy("ask.c", "src/ask.c")
    box.run(
        "mkdir -p lib bin && cc -shared -fPIC -o lib/libanswer.so src/answer.c &&"
        " cc -o bin/ask src/ask.c -Llib -lanswer && rm -r src",
    )
"""


def test_library_beside_a_compiled_command_is_found_and_does_not_leak(
    site: Site, place: Path
) -> None:
    (place / "v").mkdir()
    recipe(site, COMPILED.format(vendor=str(place / "v")))
    (site.repo / "tool/answer.c").write_text("int answer(void) { return 42; }\n")
    (site.repo / "tool/ask.c").write_text(
        "#include <stdio.h>\n#include <stdlib.h>\nint answer(void);\n"
        'int main(void) { printf("%d ", answer()); fflush(stdout);'
        ' return system("echo [$LD_LIBRARY_PATH]"); }\n'
    )
    site("install", "tool")
    other = place / "other"
    other.mkdir()
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", other / "libanswer.so"],
        input=b"int answer(void) { return 13; }",
        check=True,
    )
    assert site.lmod("module load tool; ask").stdout == "42 []\n"
    # Nor does a library of the user's, loaded for something else, get into the stack.
    script = f"module load tool; export LD_LIBRARY_PATH={other}; ask"
    assert site.lmod(script).stdout == f"42 [{other}]\n"


def test_demonstration_compiles_and_answers_to_both_of_its_names(site: Site) -> None:
    site("install", "fftw-demo")
    lines = site.lmod("module load fftw-demo; fft-demo 1000; fft-bench 1000").stdout.splitlines()
    assert len(lines) == 2 and lines[0] == lines[1]
    assert "1000 numbers, largest error" in lines[0]
