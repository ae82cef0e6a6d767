"""A site extends the recipes of other repositories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.recipe_files import Repository, assert_told
from tykky.errors import RecipeError
from tykky.recipe import source_digest
from tykky.repos import Repos

UPSTREAM = """\
gui = variant(True)
mpi = variant("openmpi", "mpich")

@property
def packages(self):
    yield "numpy"
    if self.gui:
        yield "pyqt5"
"""

OVERLAY = '''\
from tykky.repos.upstream import MyTool as Upstream


class MyTool(Upstream):
    """The tool as this site has it."""

    @property
    def packages(self):
        yield from super().packages
        yield "site-package"
'''


@pytest.fixture
def upstream(tmp_path: Path) -> Repository:
    repo = Repository(tmp_path / "upstream")
    repo.add("my-tool", UPSTREAM)
    (repo.path / "repo.yaml").write_text("namespace: upstream\n")
    return repo


@pytest.fixture
def site(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "site")


def load(site: Repository, upstream: Repository, name: str = "my-tool") -> Any:
    return Repos([site.path, upstream.path]).load(name)


def failure(site: Repository, upstream: Repository) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        load(site, upstream)
    return caught.value


def test_an_overlay_inherits_and_adds(site: Repository, upstream: Repository) -> None:
    file = site.write("my-tool", OVERLAY)
    cls = load(site, upstream)
    assert cls.file == file
    assert cls.versions == ("2.1", "2.0")
    assert cls.license == "MIT"
    assert cls("2.0", {"gui": False}).packages == ("numpy", "site-package")
    assert list(cls.variants()) == ["gui", "mpi"]


def test_of_two_repositories_with_one_namespace_the_first_counts(
    site: Repository, upstream: Repository, tmp_path: Path
) -> None:
    site.write("my-tool", OVERLAY)
    other = Repository(tmp_path / "other")
    other.add("my-tool", UPSTREAM.replace("numpy", "evil"))
    (other.path / "repo.yaml").write_text("namespace: upstream\n")
    cls = Repos([site.path, upstream.path, other.path]).load("my-tool")
    assert cls("2.0", {"gui": False}).packages == ("numpy", "site-package")


def test_an_overlay_may_leave_the_docstring_to_its_upstream(
    site: Repository, upstream: Repository
) -> None:
    site.write("my-tool", OVERLAY.replace('    """The tool as this site has it."""\n', ""))
    repos = Repos([site.path, upstream.path])
    assert repos.description("my-tool") == "A tool for the tests."


def test_files_beside_the_upstream_recipe_are_inherited(
    site: Repository, upstream: Repository
) -> None:
    site.write("my-tool", OVERLAY)
    recipe = load(site, upstream)("2.0")
    assert recipe.beside("packages.txt") == site.path / "my-tool/packages.txt"
    for repo in (upstream, site):
        file = repo.path / "my-tool/packages.txt"
        file.touch()
        assert recipe.beside("packages.txt") == file


def test_an_overlay_changes_a_default_adds_a_variant_and_settles_another(
    site: Repository, upstream: Repository
) -> None:
    body = "    gui = variant(False)\n    big = variant(False)\n    mpi = 'mpich'\n"
    site.write("my-tool", OVERLAY.replace("variant", "").replace("\n    @", f"\n{body}\n    @"))
    file = site.path / "my-tool/recipe.py"
    file.write_text("from tykky import variant\n" + file.read_text())
    cls = load(site, upstream)
    assert {name: v.default for name, v in cls.variants().items()} == {"gui": False, "big": False}
    assert cls("2.0").mpi == "mpich"
    assert cls("2.0").packages == ("numpy", "site-package")


def test_a_variant_is_settled_with_one_of_its_values(
    site: Repository, upstream: Repository
) -> None:
    file = site.write("my-tool", OVERLAY.replace("    @", '    mpi = "mpihc"\n\n    @'))
    assert_told(failure(site, upstream), file, 'mpi = "mpihc"  #^ "mpihc"', "did you mean 'mpich'?")


def test_a_mistake_in_the_upstream_recipe_names_its_own_file(
    site: Repository, upstream: Repository
) -> None:
    site.write("my-tool", OVERLAY)
    file = upstream.add("my-tool", "pakages = ()")
    assert_told(failure(site, upstream), file, "pakages = ()  #^ pakages", "'packages'")


def test_a_property_that_fails_upstream_names_the_upstream_line(
    site: Repository, upstream: Repository
) -> None:
    site.write("my-tool", OVERLAY)
    file = upstream.add("my-tool", "@property\ndef packages(self):\n    return 1 / 0")
    recipe = load(site, upstream)("2.0")
    with pytest.raises(RecipeError) as caught:
        recipe.packages  # noqa: B018
    assert_told(caught.value, file, "return 1 / 0", "ZeroDivisionError")


def test_an_upstream_recipe_that_is_not_there(site: Repository, upstream: Repository) -> None:
    file = site.write("my-tool", OVERLAY.replace("MyTool as", "MyTol as"))
    line = "from tykky.repos.upstream import MyTol as Upstream"
    assert_told(failure(site, upstream), file, line, "did you mean 'MyTool'?")


def test_a_recipe_that_extends_itself(upstream: Repository) -> None:
    file = upstream.write("my-tool", OVERLAY)
    with pytest.raises(RecipeError) as caught:
        Repos([upstream.path]).load("my-tool")
    line = "from tykky.repos.upstream import MyTool as Upstream"
    assert_told(caught.value, file, line, "extends itself", "another repository")


def test_the_digest_covers_the_upstream_recipe(site: Repository, upstream: Repository) -> None:
    site.write("my-tool", OVERLAY)
    before = source_digest(load(site, upstream))
    upstream.add("my-tool", UPSTREAM.replace("pyqt5", "pyqt6"))
    site.write("my-tool", OVERLAY + "\n")  # as in a new process, where both are read again
    assert source_digest(load(site, upstream)) != before


def test_what_is_published_counts_where_a_recipe_that_extends_it_reads_it(
    site: Repository, upstream: Repository
) -> None:
    reader = '        yield "site-package"\n'
    own, digests = [], []
    for version in ("gcc/12", "gcc/13"):
        upstream.add("my-tool", UPSTREAM + f'loads = "{version}"\n')
        own.append(source_digest(upstream.load("my-tool")))
        for overlay in (OVERLAY, OVERLAY.replace(reader, f"{reader}        print(self.loads)\n")):
            site.write("my-tool", overlay + f"# {version}\n")
            digests.append(source_digest(load(site, upstream)))
    assert own[0] == own[1]
    assert digests[0] == digests[2]
    assert digests[1] != digests[3]


@pytest.mark.parametrize("namespace", ["builtin", "My-Site", "7"])
def test_a_namespace_that_cannot_be_imported(
    site: Repository, upstream: Repository, namespace: str
) -> None:
    site.write("my-tool", OVERLAY)
    file = site.path / "repo.yaml"
    file.write_text(f"# The site.\nnamespace: {namespace}\n")
    assert_told(failure(site, upstream), file, f"namespace: {namespace}", "choose another")


def test_a_repository_file_that_is_not_yaml(site: Repository, upstream: Repository) -> None:
    site.write("my-tool", OVERLAY)
    (site.path / "repo.yaml").write_text("namespace: [\n")
    assert str(site.path / "repo.yaml") in str(failure(site, upstream).where)


def test_the_recipes_of_tykky_itself_can_be_extended(site: Repository) -> None:
    from tykky.resources import resource

    site.write(
        "my-fireworks",
        """\
        from tykky.repos.builtin import Fireworks as Upstream


        class MyFireworks(Upstream):
            \"\"\"Fireworks as this site has it.\"\"\"
        """,
    )
    cls = site.load("my-fireworks")
    assert cls.__bases__[0] is Repos([resource("repo")]).load("fireworks")
