"""What a recipe is: versions, variants, selections, what it inherits, and its digest."""

from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.recipe_files import Repository, assert_told
from tykky.recipe import Recipe, Version, selections, source_digest


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repo")


CHOICES = """\
jupyter = variant(True, help="notebooks")
gui = variant(False)
gpu_code = variant("cpu", "cuda12", "rocm6")

@property
def packages(self):
    yield "numpy"
    if self.jupyter:
        yield "jupyterlab"
    if self.gpu_code != "cpu":
        yield f"cupy-{self.gpu_code}"
"""


def test_versions_are_ordered_the_way_people_expect() -> None:
    ordered = ["1.0rc1", "1.0", "1.0-extra", "1.0.1", "1.2", "1.10", "2.9", "2.10", "26.5", "main"]
    assert sorted(map(Version, reversed(ordered))) == ordered
    assert Version("2.10") > "2.9"
    assert "2.9" < Version("2.10")  # noqa: SIM300 - the plain string is on the left here
    assert Version("26.05") <= Version("26.11") >= Version("26.11")


def test_a_version_is_equal_to_its_text() -> None:
    assert Version("26.11") == "26.11"
    assert Version("1.0") != Version("1.0.0")
    assert {Version("26.11"): 1}["26.11"] == 1
    assert f"{Version('26.11')}" == "26.11"


def test_parts_of_a_version() -> None:
    version = Version("2024.10.3-amplicon")
    assert version.major == 2024
    assert version.up_to(2) == "2024.10"
    assert version.up_to(4) == version.up_to(9) == version
    assert version.matches("2024")
    assert version.matches("2024.10")
    assert not version.matches("202")
    assert not version.matches("2024.1")
    assert not version.matches("")
    with pytest.raises(ValueError, match="first 0"):
        version.up_to(0)


def test_data_of_a_version_survives_copies() -> None:
    version = Version("2.17", deprecated="use 2.18", digest="sha256:0")
    for other in (version, copy.deepcopy(version), pickle.loads(pickle.dumps(version))):
        assert (other.digest, other.deprecated, other) == ("sha256:0", "use 2.18", "2.17")


def test_the_first_version_and_the_first_values_are_the_defaults(repo: Repository) -> None:
    repo.add("tool", CHOICES)
    cls = repo.load("tool")
    recipe: Any = cls(cls.versions[0])
    assert recipe.choices == {"jupyter": True, "gui": False, "gpu_code": "cpu"}
    assert (recipe.jupyter, recipe.gui, recipe.gpu_code) == (True, False, "cpu")
    assert recipe.suffix == ""
    assert str(recipe.spec) == "tool@2.1 gpu_code=cpu ~gui +jupyter"


def test_suffixes_name_what_differs_from_the_default(repo: Repository) -> None:
    repo.add("tool", CHOICES)
    cls: Any = repo.load("tool")
    chosen = cls("2.0", {"jupyter": False, "gui": True, "gpu_code": "rocm6"})
    assert chosen.suffix == "-nojupyter-gui-rocm6"
    assert chosen.packages == ("numpy", "cupy-rocm6")


def test_selections_visit_every_version_and_choice(repo: Repository) -> None:
    repo.add("tool", CHOICES)
    recipes = list(selections(repo.load("tool")))
    assert len({str(recipe.spec) for recipe in recipes}) == 2 * 2 * 2 * 3
    assert str(recipes[0].spec) == "tool@2.1 gpu_code=cpu ~gui +jupyter"
    assert len({(recipe.version, recipe.suffix) for recipe in recipes}) == len(recipes)


def test_what_a_recipe_does_not_offer_cannot_be_selected(repo: Repository) -> None:
    repo.add("tool", CHOICES)
    cls = repo.load("tool")
    for version, choices in (("9", {}), ("2.1", {"gui": "yes"}), ("2.1", {"x": True})):
        with pytest.raises(ValueError, match="tool"):
            cls(version, choices)


def test_a_recipe_knows_where_it_is_and_what_it_is_for(repo: Repository) -> None:
    file = repo.add("my-tool")
    text = file.read_text().replace("the tests.", "the tests.\n\n    More of it.\n\n      deep\n")
    file.write_text(text)
    cls = repo.load("my-tool")
    assert (cls.name, cls.file, cls.directory, cls.kind) == ("my-tool", file, file.parent, "pip")
    assert cls.description == "A tool for the tests."
    assert cls.long_description == "More of it.\n\n  deep"


def test_deprecation_speaks_for_a_version_or_for_all(repo: Repository) -> None:
    body = "versions = '3', Version('2', deprecated=True), Version('1', deprecated='use 3')"
    repo.add("tool", body)
    said = [recipe.deprecation for recipe in selections(repo.load("tool"))]
    assert said == ["", "it will be removed", "use 3"]
    repo.add("tool", "deprecated = 'use other'")
    assert {recipe.deprecation for recipe in selections(repo.load("tool"))} == {"use other"}


def test_helpers_with_an_underscore_may_stand_beside_and_inside_the_class(
    repo: Repository,
) -> None:
    text = repo.add("tool", "_number = 1").read_text()
    shared = 'class _Common(PipStack):\n    license = "MIT"\n    gui = variant(True)\n\n\nclass'
    text = text.replace("class", shared, 1).replace("Tool(PipStack)", "Tool(_Common)")
    repo.write("tool", text.replace('    license = "MIT"\n    versions', "    versions"))
    assert repo.load("tool").license == "MIT"
    assert list(repo.load("tool").variants()) == ["gui"]


def test_a_kind_adds_fields_and_steps(repo: Repository) -> None:
    file = repo.write("tool", KIND_USER)
    cls: Any = Repository.load(repo, "tool")
    assert (cls.kind, cls.image, cls.file) == ("toy", Path("a.sif"), file)


class ToyStack(Recipe):
    """A kind of the tests."""

    image: Path = Path()

    def build(self, box: Any) -> None:
        """Build it."""


sys.modules["tykky.toys"] = sys.modules[__name__]
KIND_USER = '''\
from tykky.toys import ToyStack


class Tool(ToyStack):
    """A tool."""

    homepage = license = "x"
    versions = "1"
    image = "a.sif"

    def build(self, box):
        pass
'''


def test_of_several_types_the_one_that_fits_explains_what_is_wrong(repo: Repository) -> None:
    file = repo.write("tool", KIND_USER.replace('"a.sif"', '"a.sif"\n    commands = {"z5": None}'))
    assert_told(repo.failure("tool"), file, 'commands = {"z5": None}  #^ None', "wants a string")
    repo.write("tool", KIND_USER.replace('"a.sif"', '"a.sif"\n    commands = {"z5": "zonation"}'))
    assert repo.load("tool").commands == {"z5": "zonation"}


def test_comments_docstrings_and_formatting_do_not_change_the_digest(repo: Repository) -> None:
    file = repo.add("tool", CHOICES)
    before = source_digest(repo.load("tool"))
    text = "# A comment.\n" + file.read_text().replace("A tool for", "Something else for")
    text = text.replace('versions = "2.1", "2.0"', "versions = (\n        '2.1',\n        '2.0')")
    file.write_text(text)
    assert source_digest(repo.load("tool")) == before


@pytest.mark.parametrize(
    ("old", "new"), [("numpy", "numpi"), ("if self", "if not self"), ("_N = 1", "_N = 2")]
)
def test_any_change_of_the_code_changes_the_digest(repo: Repository, old: str, new: str) -> None:
    file = repo.add("tool", CHOICES)
    file.write_text("_N = 1\n" + file.read_text())
    before = source_digest(repo.load("tool"))
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    assert source_digest(repo.load("tool")) != before


PUBLISHED_FIELD = """\
@property
def env(self):
    return {"OMP_NUM_THREADS": "1"}

setenv: dict[str, str] = {"A": "1"}
loads = "gcc/12"
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"OMP_NUM_THREADS": "1"', '"OMP_NUM_THREADS": "2"'),
        ('setenv: dict[str, str] = {"A": "1"}', "setenv = {}"),
        ('loads = "gcc/12"', ""),
        ('"2.1", "2.0"', '"2.1", "2.0", "1.9"'),
        ("https://tool.example", "https://tool.org"),
        ('license = "MIT"', 'license = "BSD"\n    keywords = "a", "b"'),
        ("variant\n", "variant, CondaStack\n"),
    ],
)
def test_what_is_only_published_does_not_change_the_digest(
    repo: Repository, old: str, new: str
) -> None:
    file = repo.add("tool", CHOICES + PUBLISHED_FIELD)
    before = source_digest(repo.load("tool"))
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    assert source_digest(repo.load("tool")) == before


@pytest.mark.parametrize(
    "reader",
    [
        "def finish(self, box):\n    box.write('etc/loads', ' '.join(self.loads))\n",
        "def finish(self, box):\n    box.write('etc/loads', getattr(self, 'loads'))\n",
        "_note = loads\n",
    ],
)
def test_what_is_published_counts_where_other_code_reads_it(repo: Repository, reader: str) -> None:
    file = repo.add("tool", PUBLISHED_FIELD + "\n" + reader)
    before = source_digest(repo.load("tool"))
    text = file.read_text()
    file.write_text(text.replace("gcc/12", "gcc/13"))
    assert source_digest(repo.load("tool")) != before
    file.write_text(text.replace('{"A": "1"}', '{"A": "2"}'))
    assert source_digest(repo.load("tool")) == before


def test_assignment_to_more_than_published_fields_counts(repo: Repository) -> None:
    file = repo.add("tool", 'loads = python = "3.12"\n')
    before = source_digest(repo.load("tool"))
    file.write_text(file.read_text().replace("3.12", "3.13"))
    assert source_digest(repo.load("tool")) != before


def test_the_digest_does_not_depend_on_where_the_repository_is(tmp_path: Path) -> None:
    here, there = Repository(tmp_path / "a"), Repository(tmp_path / "b")
    here.add("tool", CHOICES)
    there.add("tool", CHOICES)
    assert source_digest(here.load("tool")) == source_digest(there.load("tool"))
