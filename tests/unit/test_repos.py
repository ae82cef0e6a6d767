"""Repositories: listing, finding, loading, selecting, and who may be trusted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.unit.recipe_files import Repository
from tykky.errors import Exit, RecipeError, SpecError
from tykky.recipe import Recipe
from tykky.repos import Repos
from tykky.spec import parse_one


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repo")


@pytest.fixture
def site(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "site")


def test_listing_runs_no_recipe(repo: Repository) -> None:
    body = "raise Exception('this must not run')"
    for name in ("tool", "other-tool"):
        repo.add(name, body)
    (repo.path / "README.md").write_text("not a recipe")
    (repo.path / "locks").mkdir()
    repos = Repos([repo.path])
    assert repos.names() == ["other-tool", "tool"]
    assert repos.description("tool") == "A tool for the tests."
    assert repos.find("tool") == repo.path / "tool"


def test_the_first_repository_wins(repo: Repository, site: Repository) -> None:
    repo.add("tool", "python = '3.11'")
    repo.add("other")
    site.add("tool", "python = '3.12'")
    repos = Repos([site.path, repo.path])
    assert repos.names() == ["other", "tool"]
    assert repos.find("tool") == site.path / "tool"
    assert repos.load("tool").python == "3.12"  # type: ignore[attr-defined]


def test_two_repositories_may_have_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = Repository(tmp_path / "a/repo"), Repository(tmp_path / "b/repo")
    one.add("tool", "python = '3.11'")
    two.add("tool", "python = '3.12'")
    classes = [one.load("tool"), two.load("tool")]
    assert [cls.file.parent.parent for cls in classes] == [one.path, two.path]
    assert classes[0].__module__ != classes[1].__module__


def test_loading_writes_nothing_and_runs_a_recipe_once(repo: Repository) -> None:
    file = repo.add("tool")
    log = repo.path / "log"
    file.write_text(f"open({str(log)!r}, 'a').write('x')\n" + file.read_text())
    assert repo.load("tool") is repo.load("tool")
    assert log.read_text() == "x"
    assert [path.name for path in (repo.path / "tool").iterdir()] == ["recipe.py"]


def select(repo: Repository, text: str) -> Recipe:
    return Repos([repo.path]).select(parse_one(text))


CHOICES = "versions = '26.11', '26.05', '3.10', '3.1'\n" + (
    "gui = variant(True)\nmpi = variant('openmpi', 'mpich')"
)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("tool", "tool@26.11 +gui mpi=openmpi"),
        ("tool@26.05 ~gui", "tool@26.05 ~gui mpi=openmpi"),
        ("tool/3.1", "tool@3.1 +gui mpi=openmpi"),
        ("tool mpi=mpich gui=off", "tool@26.11 ~gui mpi=mpich"),
        ("tool gui=true", "tool@26.11 +gui mpi=openmpi"),
    ],
)
def test_a_spec_selects(repo: Repository, text: str, spec: str) -> None:
    repo.add("tool", CHOICES)
    assert str(select(repo, text).spec) == spec


def test_a_prefix_of_components_selects_the_only_version_it_fits(repo: Repository) -> None:
    repo.add("tool", "versions = '26.11', '3.10'")
    assert select(repo, "tool@26").version == "26.11"
    with pytest.raises(SpecError):
        select(repo, "tool@2")


@pytest.mark.parametrize(
    ("text", "marked", "said"),
    [
        ("tol", "tol", "did you mean 'tool'?"),
        ("something-else", "something-else", "tykky list"),
        ("tool@27", "27", "there is 26.11, 26.05, 3.10, 3.1"),
        ("tool@26.1", "26.1", "did you mean '26.11'?"),
        ("tool@26.05-nogui", "26.05-nogui", "as a spec 'tool@26.05 ~gui mpi=openmpi'"),
        ("tool@26", "26", "choose one of 26.11, 26.05"),
        ("tool +giu", "giu", "did you mean 'gui'?"),
        ("tool ~xyz", "xyz", "its variants are gui, mpi"),
        ("tool gui=maybe", "gui=maybe", "write +gui or ~gui"),
        ("tool +mpi", "mpi", "mpi=openmpi or mpi=mpich"),
        ("tool mpi=mpihc", "mpi=mpihc", "did you mean 'mpich'?"),
        ("tool mpi=x", "mpi=x", "its values are openmpi, mpich"),
    ],
)
def test_a_spec_that_names_nothing_is_answered_with_what_there_is(
    repo: Repository, text: str, marked: str, said: str
) -> None:
    repo.add("tool", CHOICES)
    with pytest.raises(SpecError) as caught:
        select(repo, text)
    shown, carets = caught.value.details
    assert shown == text
    assert shown[carets.index("^") : len(carets)] == marked
    assert said in caught.value.remedy
    assert caught.value.code == Exit.SPEC


def test_a_variant_named_as_the_recipe_is_marked_in_its_own_place(repo: Repository) -> None:
    repo.add("tool")
    with pytest.raises(SpecError) as caught:
        select(repo, "tool +tool +tool-x")
    assert caught.value.details == ("tool +tool +tool-x", "      ^^^^")


def test_a_folder_with_a_name_no_spec_can_say(repo: Repository) -> None:
    file = repo.add("My Tool")
    repos = Repos([repo.path])
    assert repos.names() == []
    assert repos.misnamed() == [file.parent]
    with pytest.raises(RecipeError, match="cannot be the name") as caught:
        repos.load("My Tool")
    assert "'my-tool'" in caught.value.remedy
    assert str(file) in str(caught.value.where)


def test_a_repository_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="No such file") as caught:
        Repos([tmp_path / "nowhere"]).names()
    assert "tykky config why repos" in caught.value.remedy


def test_a_description_of_a_recipe_with_a_syntax_error(repo: Repository) -> None:
    file = repo.write("tool", "class Tool(:\n")
    with pytest.raises(RecipeError, match="not valid Python") as caught:
        Repos([repo.path]).description("tool")
    assert f"{file}:1" in str(caught.value.where)


@pytest.mark.parametrize("what", ["", "tool", "tool/recipe.py"])
def test_a_recipe_that_everybody_could_have_written_is_refused(repo: Repository, what: str) -> None:
    repo.add("tool")
    path = repo.path / what
    mode = path.stat().st_mode
    path.chmod(mode | 0o002)
    error = repo.failure("tool")
    assert f"chmod o-w {path}" in error.remedy
    path.chmod(mode | 0o020)
    assert repo.load("tool").name == "tool"


def test_a_recipe_that_cannot_be_read(repo: Repository) -> None:
    file = repo.add("tool")
    file.unlink()
    file.symlink_to("/proc/self/mem")  # reading its start is an I/O error, also for root
    for read in (repo.load, Repos([repo.path]).description):
        with pytest.raises(RecipeError, match="Input/output error") as caught:
            read("tool")
        assert str(file) in caught.value.cause


def test_a_failed_recipe_leaves_no_module_behind(repo: Repository) -> None:
    before = set(sys.modules)
    repo.write("tool", "1 / 0\n")
    repo.failure("tool")
    assert not [name for name in set(sys.modules) - before if name.startswith("tykky_recipes")]
