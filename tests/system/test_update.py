"""Installs brought up to date, what is said to be behind, and nothing too recent chosen."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import ways
from tests.channel import files, index
from tests.images import docker_archive, has_registry, run_registry, static_program
from tests.indexes import address, publish
from tests.indexes import index as serve
from tests.servers import Web
from tests.stacks import HEAD, Site
from tests.system.conda_site import recipe as conda_recipe
from tests.ways import PUBLIC, Person
from tykky.errors import Exit

#: Of which pip is, is not for these tests to say.
RECIPE = (
    HEAD.format(kind="PipStack")
    + """\
    packages = 'goodpkg', 'second', 'pip==25.0'
    commands = 'python*'
"""
)


@pytest.fixture
def web() -> Iterator[Web]:
    """An index with two old packages, that tells when they were uploaded."""
    with serve() as web:
        for name in ("goodpkg", "second"):
            publish(web, name, "1.0", 100)
        yield web


@pytest.fixture
def mine(site: Site, web: Web) -> Site:
    """A site with that index, and one stack of these packages, locked and installed."""
    site.write("mine", RECIPE)
    indexes = {"TYKKY_PIP_INDEX_URL": address(web), "TYKKY_PIP_EXTRA_INDEX_URLS": PUBLIC}
    site = site.with_env(**indexes)
    site("lock", "mine")
    site("install", "mine")
    return site


def versions(site: Site) -> str:
    """What the install has, by its own command."""
    ask = "import goodpkg, second; print(goodpkg.version, second.version)"
    return site.user.run(site.prefix() / "bin/python", "-c", ask).stdout.strip()


def behind(site: Site, *words: str, **options: Any) -> list[str]:
    return [said for row in site.json("outdated", *words, **options) for said in row["behind"]]


def changes(answer: list[dict[str, Any]]) -> dict[str, list[str]]:
    (only,) = answer
    assert not only["added"] and not only["removed"]
    return dict(only["changed"])


def test_update_changes_what_is_newer_and_nothing_else(mine: Site, web: Web) -> None:
    (answer,) = mine.json("update", "mine")
    assert (answer["did"], answer["generation"]) == ("nothing", 1)
    assert behind(mine, "--upstream", "--check") == []
    publish(web, "goodpkg", "2.0", 3)
    publish(web, "second", "2.0", 20)
    newer = ["1.0", "2.0"]
    done = mine("outdated", "--upstream", "--check", status=int(Exit.DAMAGED))
    assert "upstream: 2 packages would change" in done.stdout
    assert behind(mine) == []
    dry = ("update", "--dry-run", "mine")
    assert changes(mine.json(*dry)) == {"goodpkg": newer, "second": newer}
    assert changes(mine.json(*dry, "--only", "Second")) == {"second": newer}
    assert changes(mine.json(*dry, "-c", "pip.quarantine=14d")) == {"second": newer}
    done = mine(*dry)
    assert "goodpkg 1.0 -> 2.0" in done.stderr and "to download: 1.5 kB" in done.stderr
    assert "did you mean 'goodpkg'" in mine(*dry, "--only", "godpkg", status=6).stderr
    done = mine(*dry, "-c", "pip.quarantine=200d", status=int(Exit.RESOLVE))
    assert "pip.quarantine lets in nothing more recent" in done.stderr
    assert mine.prefix().joinpath(".tykky/current").readlink().name == "1"
    (lock,) = (mine.repo / "mine/locks").iterdir()
    before = lock.read_text()
    # What can be written to has the new lock beside it, so that nothing goes back to the old one.
    both = [mine.start("update", "mine", "--only", "second", "--reason", "as second asked for")]
    both.append(mine.start("update", "mine", "--only", "goodpkg"))  # goes on from the other
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert versions(mine) == "2.0 2.0"
    assert "as second asked for" in mine("history", "mine").stdout
    assert lock.read_text() != before
    publish(web, "goodpkg", "3.0", 1)
    assert mine.json("install", "mine")[0]["did"] == "nothing"
    # A lock is used as it is, of whatever age its files are.
    quarantine = ("-c", "pip.quarantine=200d")
    assert mine.json("install", "--force", "mine", *quarantine)[0]["did"] == "built"
    # What cannot be written to counts until it changes.
    lock.parent.chmod(0o555)
    mine("update", "--all")
    lock.parent.chmod(0o755)
    assert versions(mine) == "3.0 2.0"
    assert behind(mine) == []
    done = mine("install", "mine")
    assert "installed already" in done.stderr and "as updated, not as the lock" in done.stderr
    lock.write_text(before)
    assert behind(mine) == ["the lock differs: 2 packages"]
    assert mine.json("install", "mine")[0]["did"] == "published"
    assert versions(mine) == "1.0 1.0"


def test_update_and_outdated_answer_whatever_became_of_a_recipe(mine: Site, place: Path) -> None:
    mine.write("mine", RECIPE.replace('versions = "1"', 'versions = "1", "2"'))
    assert behind(mine) == ["the recipe has a newer version, 2"]
    mine.write("mine", RECIPE.replace('versions = "1"', 'versions = "2"'))
    assert behind(mine) == ["'mine' has no version 1"]
    shutil.rmtree(mine.repo / "mine")
    assert behind(mine) == ["the recipe of mine/1 is gone"]
    done = mine("update", "mine", status=int(Exit.NOT_FOUND))
    assert "put that into a repository" in done.stderr
    assert "it stays as it is" in mine("update", "--all").stderr
    done = mine("update", "hello", status=int(Exit.NOT_FOUND))
    assert "'tykky install hello' installs it" in done.stderr
    tree = place / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin/tool").write_text("#!/bin/sh\necho 1\n")
    (tree / "bin/tool").chmod(0o755)
    kind = "from tykky import DiskStack\n" + HEAD.format(kind="DiskStack")
    mine.write("mine", f"{kind}    source = '{tree}'\n    commands = 'tool'\n")
    mine("uninstall", "mine")
    mine("install", "mine")
    assert mine.json("update", "mine")[0]["did"] == "nothing"
    (tree / "bin/tool").write_text("#!/bin/sh\necho 2\n")
    assert behind(mine) == ["the files that it was built from have changed"]
    mine("update", "mine")
    assert mine.user.run(mine.prefix() / "bin/tool").stdout == "2\n"


@pytest.mark.skipif(not has_registry(), reason="docker-registry or skopeo is not installed")
def test_a_tag_is_asked_anew_for_what_it_means(site: Site, place: Path) -> None:
    folder = place / "registry"
    folder.mkdir()
    with run_registry(folder) as registry:
        for number in ("1", "2"):
            files = {"bin/tool": static_program(place), "number": number.encode()}
            registry.push(docker_archive(place / f"{number}.tar", files), "tool:1")
            if number == "1":
                image = f"    image = 'docker://{registry.host}/tool:1'\n    commands = 'tool'\n"
                site.write("mine", HEAD.format(kind="ContainerStack") + image)
                site("install", "mine")
                assert site.json("update", "mine")[0]["did"] == "nothing"
        assert behind(site) == []
        assert behind(site, "--upstream") == ["upstream: 1 package would change"]
        assert site.json("update", "mine")[0]["did"] == "built"
        assert site.json("install", "mine")[0]["did"] == "nothing"


@pytest.mark.parametrize(
    "way",
    [ways.conda_recipe, ways.conda_script, ways.conda_containerize],
    ids=lambda way: way.__name__,
)
def test_nothing_too_recent_is_chosen(place: Path, web: Web, way: Callable[[Person], Path]) -> None:
    publish(web, "goodpkg", "2.0", 0.5)
    publish(web, "second", "2.0", 1.5)
    person = ways.person(place, address(web), PUBLIC).with_env(TYKKY_PIP_QUARANTINE="30h")
    ask = "import goodpkg, second; print(goodpkg.version, second.version)"
    assert person.classic.says(f"{way(person)}/bin/python -c '{ask}'") == "1.0 2.0"


@pytest.mark.parametrize(
    "way",
    [ways.pip_recipe, ways.conda_script, ways.pip_containerize],
    ids=lambda way: way.__name__,
)
def test_an_index_without_upload_times_is_named(
    place: Path, web: Web, way: Callable[[Person], Path]
) -> None:
    del web.files["/simple/second/"]
    with serve("second==1.0", login="me:hunter2") as other:
        person = ways.person(place, address(web), address(other, "me:hunter2"), PUBLIC)
        with pytest.raises(pytest.fail.Exception) as failed:
            way(person.with_env(TYKKY_PIP_QUARANTINE="14d"))
    said = str(failed.value)
    assert f"the package index {address(other)} does not say when 'second' was uploaded" in said
    assert "hunter2" not in said


def test_conda_packages_are_updated_and_put_into_quarantine(site: Site, place: Path) -> None:
    folder = place / "channel"
    (folder / "noarch").mkdir(parents=True)

    def offer(*packages: tuple[str, str, str]) -> None:
        """Have the channel consist of packages: name, version, and when they came, if it says."""
        for name, version, license in packages:
            script = files.File(f"#!/bin/sh\necho {version}\n".encode(), 0o755)
            more = {f"bin/{name}": script}
            package = files.Package(name, version, more, noarch="generic", license=license)
            files.write(package, folder)
        index(folder)
        page = folder / "noarch/repodata.json"
        told = json.loads(page.read_text())
        for row in told["packages.conda"].values():  # rattler says when it was put here: just now
            if row["version"] == "1.0":
                row.pop("indexed_timestamp", None)
        page.write_text(json.dumps(told))
        for copy in folder.glob("noarch/repodata.json.*"):
            copy.unlink()
        shutil.rmtree(folder / "noarch/shards", ignore_errors=True)
        for copy in folder.glob("noarch/*shards*"):
            copy.unlink()

    offer(("one", "1.0", "MIT"), ("two", "1.0", "MIT"))
    conda_recipe(site, "mine", "packages = 'one', 'two'")
    site = site.with_env(TYKKY_CONDA_ALIASES=f"local={folder.as_uri()}")
    site("install", "mine")
    offer(("one", "2.0", "GPL-3.0"), ("two", "2.0", "MIT"))
    newer = ["1.0", "2.0"]
    (answer,) = site.json("update", "mine", "--only", "one", "--dry-run")
    assert answer["changed"] == {"one": newer}
    assert answer["licenses"] == {"one": "GPL-3.0"}
    quarantine = ("-c", "conda.quarantine=14d")
    assert site.json("update", "mine", *quarantine)[0]["did"] == "nothing"
    site("update", "mine", "--only", "two")
    assert site.user.run(site.prefix() / "bin/two").stdout == "2.0\n"
    assert site.user.run(site.prefix() / "bin/one").stdout == "1.0\n"
    # Without a lock beside the recipe, the install's own counts.
    assert site.json("install", "mine")[0]["did"] == "nothing"
    conda_recipe(site, "mine", "packages = 'one', 'two >=2'")
    done = site("install", "mine", *quarantine, status=int(Exit.RESOLVE))
    assert "conda.quarantine lets in nothing more recent" in done.stderr
    page = folder / "noarch/repodata.json"
    page.write_text(re.sub(r'"(indexed_)?timestamp": \d+,?', "", page.read_text()))
    done = site("install", "mine", *quarantine, status=int(Exit.RESOLVE))
    assert f"the channel {folder.as_uri()} does not say when 'two' came" in done.stderr
