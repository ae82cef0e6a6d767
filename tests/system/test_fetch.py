"""What a recipe fetches, through the whole pipeline."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Web, serve
from tests.stacks import Site
from tykky.errors import Exit
from tykky.tools.git import state_of

SCRIPT = b"#!/bin/sh\necho fetched $@\n"
DIGEST = hashlib.sha256(SCRIPT).hexdigest()

RECIPE = """\
from tykky.kinds.stack import Stack


class Fetched(Stack):
    '''A script from the web.'''

    homepage = "https://example.org"
    license = "MIT"
    versions = "1"
    commands = "say"

    def assemble(self, box):
        file = box.fetch("{url}", {digest})
        box.run(f"install -D -m 755 {{file}} {{box.prefix}}/bin/say && echo spoiled > {{file}}")

    def test(self, box):
        box.run("say hello | grep 'fetched hello'")
"""


@pytest.fixture
def web() -> Iterator[Web]:
    with serve() as web:
        web.files["/say"] = SCRIPT
        yield web


@pytest.fixture
def site(site: Site, place: Path) -> Site:
    """A site whose downloads are not those of other tests."""
    return site.with_env(TYKKY_CACHE_DIR=str(place / "cache"))


def write(site: Site, web: Web, digest: str) -> None:
    pinned = f"sha256='{digest}'" if digest else ""
    site.write("fetched", RECIPE.format(url=web.address + "/say", digest=pinned))


def test_fetched_file_is_installed_and_its_cached_copy_stays_whole(site: Site, web: Web) -> None:
    write(site, web, DIGEST)
    web.breaks = [5]
    site("install", "fetched")
    first = site.record("fetched")
    site("uninstall", "fetched")
    commit = committed(site.repo)
    site("install", "fetched")
    second = site.record("fetched")
    url, size = f"{web.address}/say", len(SCRIPT)
    assert second["fetched"] == [{"name": "say", "url": url, "sha256": DIGEST, "bytes": size}]
    # Where a recipe comes from is told, and is no part of what is built.
    assert (first["repository"], first["fetched"]) == ({}, second["fetched"])
    assert second["repository"]["commit"] == commit
    assert [first[key] for key in ("build", "images")] == [second["build"], second["images"]]
    # Broken off and resumed, then never asked again: the step spoiled only its own copy.
    assert [span for _, span in web.asked] == ["", "bytes=5-"]


def committed(folder: Path) -> str:
    """The commit of a new repository of all that is in a folder."""
    for line in (
        ["init", "--quiet"],
        ["add", "--all"],
        ["-c", "user.name=x", "-c", "user.email=x@y", "commit", "--quiet", "--message=x"],
    ):
        subprocess.run(["git", "-C", folder, *line], check=True)
    said = subprocess.run(
        ["git", "-C", folder, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    return said.stdout.strip()


def test_the_state_of_a_repository_is_that_of_the_recipes_folder(tmp_path: Path) -> None:
    recipe, other = tmp_path / "a", tmp_path / "b"
    for folder in (recipe, other):
        folder.mkdir()
        (folder / "recipe.py").write_text("")
    assert state_of(recipe) == {}
    (tmp_path / ".gitignore").write_text("ignored\n__pycache__\n")
    commit = committed(tmp_path)
    (other / "recipe.py").write_text("changed")
    (recipe / "__pycache__").mkdir()
    (recipe / "__pycache__/x.pyc").write_text("")
    remote = "https://me:secret@example.org/recipes.git"
    subprocess.run(["git", "-C", tmp_path, "remote", "add", "origin", remote], check=True)
    # Nothing that a repository configures is run.
    program = tmp_path / "ran"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
    program.chmod(0o755)
    subprocess.run(["git", "-C", tmp_path, "config", "core.fsmonitor", program], check=True)
    told = {"commit": commit, "state": "clean", "remote": "https://***@example.org/recipes.git"}
    assert state_of(recipe) == told
    assert state_of(other) == {**told, "state": "dirty"}
    (recipe / "new.txt").write_text("")
    assert state_of(recipe)["state"] == "dirty"
    (tmp_path / "ignored").mkdir()
    assert state_of(tmp_path / "ignored") == {}
    assert not (tmp_path / "was-run").exists()


def test_wrong_digest_stops_the_build_and_names_both(site: Site, web: Web) -> None:
    write(site, web, "0" * 64)
    done = site("install", "fetched", status=Exit.DAMAGED)
    assert DIGEST in done.stderr and "0" * 64 in done.stderr
    assert site.found() == []


def test_fetching_without_a_digest_builds_but_fails_the_audit(site: Site, web: Web) -> None:
    write(site, web, "")
    site("lock", "fetched")
    site("install", "fetched")
    assert DIGEST in site("log", "fetched").stdout
    done = site("audit", "fetched", status=Exit.RECIPE)
    assert "without a digest" in done.stderr
    assert "recipe.py:13" in done.stderr
    write(site, web, DIGEST)
    site("lock", "fetched")
    site("audit", "fetched")


def test_mirror_of_the_site_serves_when_the_address_is_gone(site: Site, web: Web) -> None:
    write(site, web, DIGEST)
    web.files = {"/mirror/127.0.0.1/say": SCRIPT}
    done = site("install", "fetched", status=Exit.BUILD)
    assert "answers 404" in done.stderr
    site("-c", f"mirrors={web.address}/mirror", "install", "fetched")


def test_fetch_fills_a_mirror_for_machines_without_a_network(
    site: Site, web: Web, place: Path
) -> None:
    write(site, web, DIGEST)
    site("fetch", "fetched", "--mirror", place / "mirror")
    del web.files["/say"]
    site = site.with_env(TYKKY_CACHE_DIR=str(place / "empty"))
    site("install", "fetched", status=Exit.BUILD)
    site("-c", f"mirrors=file://{place}/mirror", "install", "fetched")


def test_digest_that_is_none_is_a_mistake_with_its_line(site: Site, web: Web) -> None:
    write(site, web, "abc")
    done = site("install", "fetched", status=Exit.RECIPE)
    assert "is no sha256" in done.stderr
    assert "recipe.py:13" in done.stderr
