"""Repositories of recipes for the tests, written to disk and read as any other."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import pytest

from tykky.errors import RecipeError
from tykky.recipe import Recipe
from tykky.repos import Repos

HEAD = '''\
from tykky import PipStack, Version, variant


class Tool(PipStack):
    """A tool for the tests."""

    homepage = "https://tool.example"
    license = "MIT"
    versions = "2.1", "2.0"
'''


class Repository:
    """A directory of recipes below a test's own directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def write(self, name: str, text: str) -> Path:
        """Write a whole recipe file."""
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        file = folder / "recipe.py"
        file.write_text(dedent(text), encoding="utf-8")
        return file

    def add(self, name: str, body: str = "") -> Path:
        """Write a recipe that is complete but for what ``body`` adds to its class."""
        return self.write(name, HEAD + indent(dedent(body), "    "))

    def load(self, name: str) -> type[Recipe]:
        return Repos([self.path]).load(name)

    def failure(self, name: str) -> RecipeError:
        """The error that loading the recipe ends with."""
        with pytest.raises(RecipeError) as caught:
            self.load(name)
        return caught.value


def assert_told(error: RecipeError, file: Path, line: str, *words: str) -> None:
    """The error names the file, the number and text of ``line``, and says all ``words``.

    If the line has a ``^`` comment, as in ``x = 1  #^ x``, that text is what carets are under.
    """
    code, _, pointed = line.partition("  #^ ")
    lines = file.read_text(encoding="utf-8").splitlines()
    numbers = [number for number, text in enumerate(lines, 1) if text.strip() == code]
    assert len(numbers) == 1, f"{code!r} is not one line of {file}"
    shown = str(error.where).splitlines()
    assert shown[0] == f"{file}:{numbers[0]}"
    assert shown[1].strip() == code
    if pointed:
        assert len(shown) == 3, f"nothing is marked in {code!r}"
        start, end = shown[2].index("^"), len(shown[2])
        assert shown[1][start:end] == pointed
    said = f"{error.cause}\n{error.remedy}"
    for word in words:
        assert word in said, f"{word!r} is not said in: {said}"
