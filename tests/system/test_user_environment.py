"""What a user has set or installed at home, beside a stack: what counts, and what is told of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.stacks import Site, settle
from tests.support import log_in, new_place, remove
from tykky.errors import Exit

#: Packages of several kinds, as far as a user's own are found instead of them.
ODD = """\
from tykky import PipStack


class Odd(PipStack):
    '''A package, and what is beside it in other stacks.'''

    homepage = "https://pypi.org/project/six"
    license = "MIT"
    versions = "1", "2"
    packages = "six==1.17.0"
    commands = "python*"
    {more}

    def finish(self, box):
        box.write("share/jupyter/kernels/python3/kernel.json", "{{}}")
        box.write("lib/R/library/lattice/DESCRIPTION", "Package: lattice")
        box.write("lib/libodd.so.2", "")
        box.write("lib/python3.11/site-packages/numba/__init__.py", f"# {{self.version}}")
"""


@pytest.fixture(scope="module")
def odd() -> Iterator[Site]:
    place = new_place()
    site = settle(place, log_in(place))
    site.write("odd", ODD.format(more=""))
    site("install", "odd@1")
    yield site
    remove(place)


@pytest.fixture
def home(place: Path) -> Path:
    """An empty home."""
    return place / "home"


def inside(site: Site, code: str, **env: str) -> str:
    prefix = site.prefix("odd")
    return site.user.run(prefix / "bin/python", "-c", code, env=env).stdout.strip()


def package(folder: Path, name: str, version: str) -> None:
    """Put a small package there, as pip would."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / f"{name}.py").write_text(f"__version__ = {version!r}\n")


def test_doctor_has_nothing_to_say_of_a_stack_that_nothing_hides(odd: Site, home: Path) -> None:
    package(home / ".local/lib/python3.11/site-packages", "other", "1.0")
    kernel = home / ".local/share/jupyter/kernels/python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text("{}")
    wish = "import os; print(os.environ['JUPYTER_PREFER_ENV_PATH'])"
    assert inside(odd, wish) == "1"
    done = odd("doctor", "odd", env={"HOME": str(home), "PYTHONPATH": "/no/such"})
    assert done.stdout == ""
    assert odd.json("doctor", "odd") == []


@dataclass(frozen=True)
class Case:
    """A file at home, a variable, and what is told."""

    file: str
    text: str
    variables: dict[str, str]
    told: tuple[str, str, str, str]


CASES = {
    "package": Case("mine/six.py", "", {"PYTHONPATH": "{home}/mine"}, ("six", "", "1.17.0", "six")),
    "module": Case(
        "mine/colorsys.py",
        "",
        {"PYTHONPATH": "{home}/mine:/none"},
        ("colorsys", "", "of python3.11", "colorsys"),
    ),
    "kernel": Case(
        ".local/share/jupyter/kernels/python3/kernel.json",
        '{"argv": ["/usr/bin/python3"]}',
        {"JUPYTER_PREFER_ENV_PATH": "0"},
        ("python3", "/usr/bin/python3", "python3.11 of the stack", "kernels/python3"),
    ),
    "r": Case(
        "R/lattice/DESCRIPTION",
        "Package: lattice\nVersion: 0.2\n",
        {"R_LIBS_USER": "{home}/R"},
        ("lattice", "0.2", "", "R/lattice"),
    ),
    "library": Case(
        "lib/libodd.so.2", "", {"LD_LIBRARY_PATH": "{home}/lib"}, ("libodd.so.2", "", "", "lib")
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_doctor_names_what_hides_something_of_a_stack(odd: Site, home: Path, case: Case) -> None:
    file = home / case.file
    file.parent.mkdir(parents=True)
    file.write_text(case.text)
    env = {name: value.format(home=home) for name, value in case.variables.items()}
    env["HOME"] = str(home)
    done = odd("doctor", "odd", "--json", env=env, status=Exit.CONFLICT)
    (found,) = json.loads(done.stdout)["result"]
    name, theirs, ours, where = case.told
    assert (found["name"], found["theirs"], found["ours"]) == (name, theirs, ours)
    assert found["where"].endswith(where)
    shown = odd("doctor", "odd", env=env, status=Exit.CONFLICT)
    assert name in shown.stdout
    assert found["remedy"] in shown.stderr


def test_doctor_knows_versions_and_agrees_with_the_stack(odd: Site, home: Path) -> None:
    package(home / "mine", "six", "1.15.0")
    # A virtual environment, which a stack of pip packages is, looks there last.
    package(home / ".local/lib/python3.11/site-packages", "six", "1.16.0")
    code, env = "import six; print(six.__version__)", {"HOME": str(home)}
    assert inside(odd, code, **env) == "1.17.0"
    assert odd("doctor", "odd", env=env).stdout == ""
    env["PYTHONPATH"] = str(home / "mine")
    assert inside(odd, code, **env) == "1.15.0"
    done = odd("doctor", "odd", "--json", env=env, status=Exit.CONFLICT)
    (found,) = json.loads(done.stdout)["result"]
    assert (found["theirs"], found["ours"]) == ("1.15.0", "1.17.0")


def test_the_library_of_another_python_does_not_come_in(odd: Site) -> None:
    code = "import sys, os; print(sys.path[1:], 'PYTHONHOME' in os.environ)"
    assert inside(odd, code, PYTHONHOME="/usr/nowhere") == inside(odd, code)
    assert "False" in inside(odd, code)


def test_packages_of_the_user_count_unless_recipe_or_site_say_otherwise(
    site: Site, home: Path
) -> None:
    package(home / ".local/lib/python3.11/site-packages", "mine", "1.0")
    code = "import importlib.util as u; print(bool(u.find_spec('mine')))"
    site.write("odd", ODD.format(more=""))
    site("install", "odd@1")
    assert inside(site, code, HOME=str(home)) == "True"
    # Only how it is entered changes, so nothing is built.
    done = site("-c", "python.user_site=false", "install", "odd@1")
    assert "with the contents it had" in done.stderr
    assert inside(site, code, HOME=str(home)) == "False"
    for wish, configured, seen in (("True", "false", "True"), ("False", "true", "False")):
        site.write("odd", ODD.format(more=f"user_site = {wish}"))
        done = site("-c", f"python.user_site={configured}", "install", "odd@1")
        assert "with the contents it had" in done.stderr
        assert inside(site, code, HOME=str(home)) == seen


def test_compiled_code_of_numba_is_kept_apart_for_each_content(odd: Site, home: Path) -> None:
    """An image has no times, by which older numba sees that a source has changed."""
    code = "import os; print(os.environ['NUMBA_CACHE_DIR'])"
    first = inside(odd, code, HOME=str(home))
    assert Path(first).parent == home / ".cache/numba"
    assert inside(odd, code, XDG_CACHE_HOME="/scratch/x").startswith("/scratch/x/numba/")
    assert inside(odd, code, NUMBA_CACHE_DIR="/my/own") == "/my/own"
    odd("install", "odd@2")
    other = odd.user.run(odd.prefix("odd/2") / "bin/python", "-c", code).stdout
    assert Path(other.strip()).name != Path(first).name
    odd("uninstall", "odd/2")
