"""Who else may change what runs: what decides that is refused, what is only risky is told of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stacks import Site
from tests.system.wholeness import failed
from tykky.errors import Exit

LOCKED = '{"format": 1}'
#: What everybody may write to, what is then refused, and how.
REFUSED = {
    "repo": Exit.RECIPE,
    "repo/hello": Exit.RECIPE,
    "repo/hello/recipe.py": Exit.RECIPE,
    "repo/hello/data.txt": Exit.RECIPE,
    "repo/hello/data": Exit.RECIPE,
    "repo/hello/locks/1.0-x86_64.json": Exit.RECIPE,
    "repo/repo.yaml": Exit.RECIPE,
    "above": Exit.CONFIG,
    "above/hooks.py": Exit.CONFIG,
    "templates": Exit.CONFIG,
    "templates/module.lua.j2": Exit.CONFIG,
    "home/.config/tykky/config.yaml": Exit.CONFIG,
    "home/.config/tykky": Exit.CONFIG,
    "home/.config": Exit.CONFIG,
    ".": Exit.CONFIG,
}


@pytest.fixture
def full(site: Site, place: Path) -> Site:
    """A site with everything that decides what runs."""
    site.hello()
    site("lock", "hello")
    for name, text in {
        "repo/hello/data.txt": "",
        "repo/hello/data/more.txt": "",
        "repo/repo.yaml": "namespace: mine\n",
        "above/hooks.py": "",
        "templates/module.lua.j2": '{% extends "tykky/module.lua.j2" %}\n',
        "home/.config/tykky/config.yaml": (
            f"hooks: {place}/above/hooks.py\nmodule: {{templates: {place}/templates}}\n"
        ),
    }.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return site


@pytest.fixture
def private(place: Path) -> Iterator[None]:
    yield
    place.chmod(0o755)


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.usefixtures("private")
def test_what_decides_what_runs_is_refused_if_everybody_may_write_to_it(
    full: Site, place: Path, what: str
) -> None:
    path = (place / what).resolve()
    if what.endswith(".json"):
        (path,) = path.parent.iterdir()
    mode = path.stat().st_mode
    path.chmod(mode | 0o002)
    says = (f"{path} can be written by everybody",)
    failed(full, REFUSED[what], "install", "hello", says=says, remedy=f"chmod o-w {path}")
    assert not (full.root / "store/hello").exists()
    path.chmod(mode | 0o020)
    full("install", "hello")


def test_folders_where_only_owners_replace_are_safe_for_what_is_ones_own(
    full: Site, place: Path
) -> None:
    (place / "above").chmod(0o1777)
    full("install", "hello")
    (place / "above").chmod(0o755)


def test_a_link_is_as_safe_as_where_it_leads(full: Site, place: Path) -> None:
    (place / "open").mkdir()
    (place / "open").chmod(0o777)
    shutil.move(place / "above/hooks.py", place / "open/hooks.py")
    (place / "above/hooks.py").symlink_to("../open/hooks.py")
    says = (f"{place}/open can be written by everybody",)
    failed(full, Exit.CONFIG, "install", "hello", says=says)


@pytest.mark.parametrize("what", ["t", "t/store", "t/modules"])
def test_a_store_that_others_may_write_to_is_told_of(site: Site, what: str) -> None:
    site.hello()
    assert "others may" not in site("install", "hello").stderr
    path = site.root.parent / what
    path.chmod(0o777)
    said = site("install", "--force", "hello").stderr
    assert said.count(f"{path} can be written by everybody; chmod o-w {path}") == 1
    assert f"{path} can be written by everybody" in site("doctor", status=None).stdout
    assert f"{path} can be" in site("verify", status=int(Exit.DAMAGED)).stdout


def test_without_a_umask_nobody_else_may_write(site: Site, place: Path) -> None:
    site.hello()
    site.user.bash(
        "umask 000; tykky install hello; tykky refresh hello -c idle=5; tykky lock hello"
    )
    found = [
        path
        for top in (site.root, place / "build", site.repo)
        for where, folders, files in os.walk(top)
        for path in (Path(where, name) for name in (*folders, *files))
        if not path.is_symlink() and path.stat().st_mode & 0o002
    ]
    assert found == []
    site("verify")
    failed(
        site, Exit.CONFIG, "install", "hello", "-c", "permissions.dir_mode=0777", says=("write",)
    )


def test_what_belongs_to_somebody_else_is_no_hook_of_ones_own(full: Site, place: Path) -> None:
    become = "unshare --user --map-auto --map-root-user chown"
    full.user.bash(f"{become} 61000 {place}/above/hooks.py")
    failed(full, Exit.CONFIG, "install", "hello", says=("hooks.py belongs to ",))
    full.user.bash(f"{become} 0 {place}/above/hooks.py")
    full("install", "hello")
