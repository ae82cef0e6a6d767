"""The recipes that 'tykky extend' writes: what it reads again, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tykky.build.extending import Sheet, is_there, merged, read
from tykky.repos import Repos
from tykky.spec import Spec

SHEET = Sheet(
    "https://example.org",
    'GPL "3"',
    "26.11-nojupyter",
    "stack:low/26.11-nojupyter",
    "3.11",
    ("numpy>=2,<3", "whatshap"),
    family="python_env",
    setenv={"A": "it's $HOME"},
    shadows=True,
)
MANY = Sheet("h", "l", "1", "stack:/a/low/1", "3.12", tuple(f"package-{n}" for n in range(30)))
ONE = Sheet("h", "l", "1", "stack:low@1", "3.9", ("a",))
BARE = Sheet("h", "l", "1", "stack:low@1", "", conda=("samtools >=1.20",), shadows=True)
MIXED = Sheet("h", "l", "1", "stack:low@1", "3.9", ("a", "b>1"), ("bcftools", "conda-forge::x=1"))


@pytest.mark.parametrize("sheet", [SHEET, MANY, ONE, BARE, MIXED])
def test_recipe_of_an_extension_is_a_recipe_and_is_read_again(sheet: Sheet, tmp_path: Path) -> None:
    file = tmp_path / "9-my_low/recipe.py"
    file.parent.mkdir()
    file.write_text(sheet.text("9-my_low"))
    assert read(file) == sheet
    assert sheet.name == "low"
    recipe = Repos([tmp_path]).select(Spec("9-my_low"))
    packages = sheet.conda or sheet.packages
    assert (recipe.packages, recipe.setenv) == (packages, sheet.setenv)  # type: ignore[attr-defined]
    assert getattr(recipe, "pip", sheet.packages) == sheet.packages


@pytest.mark.parametrize(
    ("old", "new", "is_ours"),
    [
        (", 'whatshap'", "", True),
        ('"3.11"', "'3.12'", True),
        ("    python", "    # because of numpy\n    python", False),
        ("    python", "    keywords = 'genomes'\n    python", False),
        ('whatshap."""', 'whatshap."""\n\n    def test(self, box):\n        pass\n', False),
        ("with numpy", "for my thesis: numpy", False),
        ("(Extension)", "(PipStack)", False),
        ("Extension\n", "Extension\nimport os\n", False),
        ('"3.11"', "3.11 if 1 else 2", False),
        ("class", "class class", False),
    ],
)
def test_recipe_with_more_in_it_is_its_authors(
    old: str, new: str, is_ours: bool, tmp_path: Path
) -> None:
    text = SHEET.text("my-low").replace('"numpy>=2,<3", "whatshap"', "'numpy>=2,<3', 'whatshap'")
    assert old in text
    (tmp_path / "recipe.py").write_text(text.replace(old, new, 1))
    assert (read(tmp_path / "recipe.py") is not None) == is_ours


def test_requirements_are_one_for_each_project() -> None:
    assert merged(["Foo_bar==1", "x"], ["foo.bar>=2", "a"]) == ("a", "foo.bar>=2", "x")
    both = ("a<2; python_version<'3.10'", "a>=2; python_version>='3.10'")
    assert merged(["a==1", "b"], [*both, both[0]]) == (*both, "b")
    there = {"Foo_Bar": "2.1", "x": "1"}
    asked = ("foo-bar>=2", "foo-bar<2", "foo-bar[more]", "y", "x @ file:///x-1-py3-none-any.whl")
    assert [is_there(text, there) for text in asked] == [True, False, False, False, False]
