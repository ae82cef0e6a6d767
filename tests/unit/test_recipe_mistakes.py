"""Every mistake in a recipe is answered with its file, line, the line itself and a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.recipe_files import Repository, assert_told
from tykky.recipe import source_digest


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repo")


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("pakages = 'numpy'", "pakages = 'numpy'  #^ pakages", "did you mean 'packages'?"),
        ("licence = 'MIT'", "licence = 'MIT'  #^ licence", "did you mean 'license'?"),
        ("helper = 3", "helper = 3  #^ helper", "'_helper'"),
        ("def tset(self, box): ...", "def tset(self, box): ...  #^ tset", "'test'"),
        ("@property\ndef comands(self): ...", "def comands(self): ...", "'commands'"),
        ("pakages: tuple = ()", "pakages: tuple = ()  #^ pakages", "'packages'"),
        ("import json", "import json  #^ json", "'_json'"),
        ("if True:\n    pakages = ()", "pakages = ()  #^ pakages", "'packages'"),
        ("version = '2.1'", "version = '2.1'  #^ version", "set by Tykky"),
        ("def __init__(self): ...", "def __init__(self): ...  #^ __init__", "another name"),
        ("_required = ()", "_required = ()  #^ _required", "another name"),
        ("name = 'x'", "name = 'x'  #^ name", "set by Tykky"),
        ("python = variant('3.11', '3.12')", "python = variant('3.11', '3.12')", "field"),
        ("finish = variant(True)", "finish = variant(True)  #^ finish", "step"),
    ],
)
def test_a_name_that_is_no_field(repo: Repository, body: str, line: str, words: str) -> None:
    file = repo.add("tool", body)
    assert_told(repo.failure("tool"), file, line, words)


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("python = 3.11", "python = 3.11  #^ 3.11", ("'python' wants a string", "quotes")),
        ("packages = 5", "packages = 5  #^ 5", ("wants a string", "this is a number")),
        ("packages = 'a', 7", "packages = 'a', 7  #^ 7", ("quotes around it",)),
        ("packages = {'a', 'b'}", "packages = {'a', 'b'}  #^ {'a', 'b'}", ("no order",)),
        ("packages = None", "packages = None  #^ None", ("wants strings",)),
        ("packages = ''", "packages = ''  #^ ''", ("empty", "()")),
        ("network = 'yes'", "network = 'yes'  #^ 'yes'", ("truth value", "True")),
        ("gpu = 'nvida'", "gpu = 'nvida'  #^ 'nvida'", ("did you mean 'nvidia'?",)),
        ("gpu = 'intel'", "gpu = 'intel'  #^ 'intel'", ("'nvidia', 'amd'",)),
        ("env = 'A=b'", "env = 'A=b'  #^ 'A=b'", ("a mapping from names to strings",)),
        ("env = {'A': True}", "env = {'A': True}  #^ True", ("wants a string",)),
        ("env = {'A-B': 'c'}", "env = {'A-B': 'c'}  #^ 'c'", ("environment variable",)),
        (
            "setenv = {'PYTHONPATH': '/x'}",
            "setenv = {'PYTHONPATH': '/x'}  #^ '/x'",
            ("breaks other programs", "'env'"),
        ),
        (
            "commands = 'python*', 'pip* dask*'",
            "commands = 'python*', 'pip* dask*'  #^ 'pip* dask*'",
            ("one name or glob in each string",),
        ),
        ("commands = {'bin/x': 'x'}", "commands = {'bin/x': 'x'}  #^ 'x'", ("no directory",)),
        ("needs = 'other ++x'", "needs = 'other ++x'  #^ 'other ++x'", ("variant is missing",)),
        ("commands = '/'", "commands = '/'  #^ '/'", ("name of a command",)),
        ("commands = {'x': '/'}", "commands = {'x': '/'}  #^ '/'", ("no program",)),
        ("commands = '../../bin/*'", "commands = '../../bin/*'", ("leads out",)),
        ("commands = {'x': 'a/../b'}", "commands = {'x': 'a/../b'}", ("leads out",)),
        ("commands = 'a/**x'", "commands = 'a/**x'", ("'**'",)),
        ("reads = 'appl'", "reads = 'appl'  #^ 'appl'", ("no absolute path",)),
        ("env = {'PATH': '/x'}", "env = {'PATH': '/x'}  #^ '/x'", ("its own programs",)),
        ("setenv = {'PATH': '/x'}", "setenv = {'PATH': '/x'}  #^ '/x'", ("its own programs",)),
        ("setenv = {'HOME': '/x'}", "setenv = {'HOME': '/x'}  #^ '/x'", ("'env'",)),
        ("setenv = {'LD_AUDIT': 'x'}", "setenv = {'LD_AUDIT': 'x'}  #^ 'x'", ("'env'",)),
        ("setenv = {'TYKKY_ROOT': 'x'}", "setenv = {'TYKKY_ROOT': 'x'}  #^ 'x'", ("leave",)),
        ("family = 'a\\ud800'", "family = 'a\\ud800'  #^ 'a\\ud800'", ("plain text",)),
        ("family = 'a\\0'", "family = 'a\\0'  #^ 'a\\0'", ("plain text",)),
        ("packages = 'a', 'b\\nc'", "packages = 'a', 'b\\nc'  #^ 'b\\nc'", ("line break",)),
        ("versions = Version('2', deprecated='\\ud800')",) * 2 + (("plain text",),),
        ("@property\ndef packages(): ...", "def packages(): ...", ("takes self",)),
        ("@property\ndef packages(self, x): ...", "def packages(self, x): ...", ("self",)),
        ("packages = property()", "packages = property()  #^ packages", ("takes self",)),
        ("versions = 26.10", "versions = 26.10  #^ 26.10", ("quotes around it",)),
        ("versions = '2 0'", "versions = '2 0'  #^ '2 0'", ("cannot be a version",)),
        ("versions = '2', '1', '2'", "versions = '2', '1', '2'  #^ '2'", ("named twice",)),
        ("def packages(self): ...", "def packages(self): ...", ("@property",)),
        ("test = 'lpad -v'", "test = 'lpad -v'  #^ test", ("def test(self, box):",)),
        ("def test(self): ...", "def test(self): ...  #^ test", ("def test(self, box):",)),
        ("x = variant(True, 'a')", "x = variant(True, 'a')", ("variant(True)",)),
        ("x = variant('a', 'a')", "x = variant('a', 'a')", ("twice",)),
        ("x = variant(3, 4)", "x = variant(3, 4)", ("text in quotes",)),
        ("versions = Version(26.1)", "versions = Version(26.1)", ("quotes around it",)),
        ("versions = Version('2', title=1)", "versions = Version('2', title=1)", ("'title'",)),
    ],
)
def test_a_value_of_the_wrong_type(
    repo: Repository, body: str, line: str, words: tuple[str, ...]
) -> None:
    file = repo.add("tool", body)
    assert_told(repo.failure("tool"), file, line, *words)


def test_versions_that_depend_on_a_choice(repo: Repository) -> None:
    file = repo.add("tool", "@property\ndef versions(self):\n    return '1'")
    assert_told(repo.failure("tool"), file, "def versions(self):", "class attribute")


def test_two_variants_that_would_name_the_same_module(repo: Repository) -> None:
    file = repo.add("tool", "a = variant('x', 'big')\nb = variant('y', 'big')")
    assert_told(repo.failure("tool"), file, "b = variant('y', 'big')  #^ b", "'-big'", "rename")


@pytest.mark.parametrize("missing", ["homepage", "license", "versions"])
def test_a_required_field_that_is_missing(repo: Repository, missing: str) -> None:
    file = repo.add("tool")
    kept = [line for line in file.read_text().splitlines(True) if missing not in line]
    file.write_text("".join(kept))
    assert_told(repo.failure("tool"), file, "class Tool(PipStack):  #^ Tool", missing, "add")


def test_a_missing_docstring(repo: Repository) -> None:
    file = repo.write(
        "tool", "from tykky import PipStack\nclass Tool(PipStack):\n  versions = '1'\n"
    )
    file.write_text(file.read_text() + "  homepage = license = 'x'\n")
    assert_told(repo.failure("tool"), file, "class Tool(PipStack):  #^ Tool", "docstring")


def test_a_syntax_error(repo: Repository) -> None:
    file = repo.add("tool", "packages = ('numpy', 'scipy'\n")
    assert_told(
        repo.failure("tool"), file, "packages = ('numpy', 'scipy'  #^ (", "never closed", "correct"
    )


@pytest.mark.parametrize("line", ["import yaml", "from yaml import load", "from . import x"])
def test_an_import_of_what_only_some_machines_have(repo: Repository, line: str) -> None:
    file = repo.add("tool", f"def finish(self, box):\n    {line}")
    assert_told(repo.failure("tool"), file, line, "standard library")


def test_a_program_that_python_cannot_hold(repo: Repository) -> None:
    repo.add("tool", "_x = " + "1 + " * 140 + "1")
    assert source_digest(repo.load("tool"))
    for text in (
        "_x = " + "1 + " * 160 + "1",
        "_x = " + "-" * 50_000 + "1",
        "_x = " + "(" * 5000,
        "_x = " + "1 + " * 90_000 + "1",
    ):
        repo.add("tool", text)
        assert "tool: the recipe is" in repo.failure("tool").cause


def test_a_file_that_is_not_text(repo: Repository) -> None:
    file = repo.add("tool")
    file.write_bytes(b"\x00\x01")
    error = repo.failure("tool")
    assert str(file) in str(error.where)


def test_a_file_without_a_recipe(repo: Repository) -> None:
    file = repo.write("tool", "x = 1\n")
    error = repo.failure("tool")
    assert str(error.where) == str(file)
    assert "class MyStack(PipStack):" in error.remedy


def test_a_class_that_is_not_a_recipe(repo: Repository) -> None:
    file = repo.write("tool", "class Tool:\n    versions = '1'\n")
    assert_told(repo.failure("tool"), file, "class Tool:  #^ Tool", "class Tool(PipStack):")


def test_two_recipes_in_one_file(repo: Repository) -> None:
    file = repo.add("tool")
    file.write_text(file.read_text() + '\n\nclass Other(Tool):\n    """Another."""\n')
    assert_told(
        repo.failure("tool"), file, "class Other(Tool):  #^ Other", "Tool and Other", "_Tool"
    )


def test_an_import_of_something_that_is_not_there(repo: Repository) -> None:
    file = repo.write("tool", "import no_such_module\n")
    error = repo.failure("tool")
    assert_told(error, file, "import no_such_module", "standard library")


def test_a_kind_that_is_misspelt(repo: Repository) -> None:
    file = repo.write("tool", "from tykky import PipStak\n")
    assert_told(repo.failure("tool"), file, "from tykky import PipStak", "'PipStack'")


def test_an_exception_at_the_top_of_the_file(repo: Repository) -> None:
    file = repo.write("tool", "_SIZE = 1 / 0\n")
    assert_told(repo.failure("tool"), file, "_SIZE = 1 / 0", "ZeroDivisionError")


def test_a_recipe_that_exits(repo: Repository) -> None:
    file = repo.write("tool", "import sys\nsys.exit(3)\n")
    assert_told(repo.failure("tool"), file, "sys.exit(3)", "raise an exception")


def test_a_failed_recipe_can_be_corrected_and_loaded(repo: Repository) -> None:
    repo.add("tool", "pakages = 'numpy'")
    repo.failure("tool")
    repo.add("tool", "packages = 'numpy'")
    assert repo.load("tool").packages == ("numpy",)  # type: ignore[attr-defined]
