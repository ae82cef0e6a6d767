"""Reading a selected recipe: values as promised, or an error at the recipe's own line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.recipe_files import Repository, assert_told
from tykky.errors import RecipeError, StepError
from tykky.recipe import recipe_code, selections
from tykky.spec import parse_one


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repo")


def first(repo: Repository, body: str) -> Any:
    repo.add("tool", body)
    return next(selections(repo.load("tool")))


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ("packages = 'numpy'", "packages", ("numpy",)),
        ("packages = ['a', 'b']", "packages", ("a", "b")),
        ("packages = (p for p in 'ab')", "packages", ("a", "b")),
        ("env = {'OMP_NUM_THREADS': 1}", "env", {"OMP_NUM_THREADS": "1"}),
        ("needs = 'other@2 +x'", "needs", (parse_one("other@2 +x"),)),
        ("commands = 'a*', 'b'", "commands", ("a*", "b")),
        ("@property\ndef packages(self):\n    yield 'a'", "packages", ("a",)),
        ("@property\ndef packages(self):\n    return 'a'", "packages", ("a",)),
        ("@property\ndef env(self):\n    return {'A': 2}", "env", {"A": "2"}),
        ("@property\ndef needs(self):\n    yield 'other/2'", "needs", (parse_one("other@2"),)),
    ],
)
def test_a_field_has_the_type_it_promises(
    repo: Repository, body: str, field: str, value: object
) -> None:
    assert getattr(first(repo, body), field) == value


def test_a_cached_property_that_yields_can_be_read_twice(repo: Repository) -> None:
    file = repo.add("tool", "@cached_property\ndef packages(self):\n    yield 'a'")
    file.write_text("from functools import cached_property\n" + file.read_text())
    recipe: Any = next(selections(repo.load("tool")))
    assert [recipe.packages, recipe.packages] == [("a",), ("a",)]


@pytest.mark.parametrize(
    ("statement", "marked", "words"),
    [
        ("yield from {}['x']", "{}['x']", ("KeyError", "correct")),
        ("yield self.versoin", "self.versoin", ("did you mean 'version'?",)),
        ("yield self.gui_", "self.gui_", ("did you mean 'gui'?",)),
        ("yield varint", "varint", ("did you mean 'variant'?",)),
        ("yield self.version.digest", "self.version.digest", ("version 2.1 has no 'digest'",)),
        ("raise SystemExit(3)", "", ("raise an exception",)),
    ],
)
def test_a_property_that_raises(
    repo: Repository, statement: str, marked: str, words: tuple[str, ...]
) -> None:
    recipe = first(repo, f"gui = variant(True)\n\n@property\ndef packages(self):\n    {statement}")
    with pytest.raises(RecipeError) as caught:
        recipe.packages  # noqa: B018
    assert_told(caught.value, recipe.file, statement, "tool: 'packages'", *words)
    if caught.value.where and caught.value.where.column is not None and marked:
        assert_told(caught.value, recipe.file, f"{statement}  #^ {marked}")


def test_a_property_that_gives_the_wrong_type(repo: Repository) -> None:
    recipe = first(repo, "@property\ndef packages(self):\n    yield 3.11")
    with pytest.raises(RecipeError) as caught:
        recipe.packages  # noqa: B018
    assert_told(caught.value, recipe.file, "def packages(self):  #^ packages", "quotes around it")


def test_a_helper_that_raises_is_named_by_its_innermost_line(repo: Repository) -> None:
    file = repo.add("tool", "@property\ndef packages(self):\n    return _helper()")
    file.write_text("def _helper():\n    return int('many')\n" + file.read_text())
    recipe: Any = next(selections(repo.load("tool")))
    with pytest.raises(RecipeError) as caught:
        recipe.packages  # noqa: B018
    assert_told(caught.value, file, "return int('many')", "ValueError")


def test_a_step_that_raises(repo: Repository) -> None:
    recipe = first(repo, "def test(self, box):\n    box.walk()")
    with pytest.raises(RecipeError) as caught, recipe_code(recipe, "test"):
        recipe.test(object())
    assert_told(caught.value, recipe.file, "box.walk()", "tool: 'test'", "'walk'")


class FailingBox:
    """A box in which every program fails."""

    def run(self, command: str) -> None:
        raise StepError(f"{command} failed with status 1", remedy="look at the log")


def test_a_step_whose_program_fails_keeps_its_error_and_learns_the_line(repo: Repository) -> None:
    recipe = first(repo, "def test(self, box):\n    box.run('false')")
    with pytest.raises(StepError) as caught, recipe_code(recipe, "test"):
        recipe.test(FailingBox())
    assert caught.value.cause == "false failed with status 1"
    assert str(caught.value.where).splitlines()[1].strip() == "box.run('false')"


def test_a_mistake_of_tykky_itself_is_not_blamed_on_the_recipe(repo: Repository) -> None:
    recipe = first(repo, "")
    with pytest.raises(KeyError), recipe_code(recipe, "test"):
        raise KeyError("ours")
