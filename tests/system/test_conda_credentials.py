"""Channels that ask who one is: they are used, and nothing that is kept or said has the words."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channel import channel
from tests.servers import Web, serve
from tests.stacks import Site
from tests.support import User
from tests.system.conda_site import make, recipe
from tykky.errors import Exit

_SECRET = "hunter2"


@pytest.fixture
def conda(place: Path, user: User) -> Site:
    """A site with an empty store and a cache of its own."""
    return make(place, user).with_env(TYKKY_CACHE_DIR=str(place / "cache"))


@pytest.fixture(params=["token", "password"])
def web(request: pytest.FixtureRequest) -> Iterator[Web]:
    """The tests' channel for those who have a token, or a password."""
    with serve() as web:
        start = f"/t/{_SECRET}/local" if request.param == "token" else "/local"
        for path in channel().rglob("*"):
            if path.is_file() and "shards" not in path.name and "shards" not in path.parts:
                web.files[f"{start}/{path.relative_to(channel())}"] = path.read_bytes()
        if request.param == "password":
            web.login = "Basic " + base64.b64encode(f"me:{_SECRET}".encode()).decode()
        yield web


def private(web: Web) -> str:
    """The address of the channel, with what it asks for."""
    if web.login:
        return web.address.replace("://", f"://me:{_SECRET}@") + "/local"
    return f"{web.address}/t/{_SECRET}/local"


def kept(folder: Path) -> list[str]:
    """The files below a folder that have the secret, in their bytes or names."""
    import gzip

    found = []
    for path in folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        if path.name.endswith(".gz"):
            data = gzip.decompress(data)
        if _SECRET.encode() in data or _SECRET in path.name:
            found.append(str(path))
    return found


def test_a_channel_with_credentials_is_used_and_they_are_kept_nowhere(
    conda: Site, web: Web, place: Path
) -> None:
    recipe(conda, "mine", "packages = 'prefixed'")
    site = conda.with_env(TYKKY_CONDA_ALIASES=f"local={private(web)}")
    said = site("lock", "mine").stderr + site("install", "mine").stderr
    lock = (conda.repo / "mine/locks/1.0-x86_64.json").read_text()
    assert f'"url": "{web.address}/local/linux-64/prefixed-1.0-0.conda"' in lock
    (package,) = site.json("find", "mine", "--packages")[0]["packages"]
    assert package["channel"] == "local"
    assert _SECRET not in said
    assert kept(place) == []


def test_so_is_one_that_a_file_or_a_script_names(conda: Site, web: Web, place: Path) -> None:
    recipe(
        conda,
        "mine",
        "channels = ()\nenvironment = 'environment.yml'\n"
        "network = True\n"
        "def finish(self, box):\n    box.run(['sh', '-e', box.directory / 'post.sh'])",
    )
    folder, address = conda.repo / "mine", private(web)
    text = f"channels: ['{address}']\ndependencies: [prefixed, '{address}::activated']\n"
    (folder / "environment.yml").write_text(text)
    (folder / "post.sh").write_text(
        f"conda install -y -c {address} left\n"
        f"printf '@EXPLICIT\\n{address}/noarch/scripted-1.0-0.conda\\n' > /tmp/list.txt\n"
        "conda install -y --file /tmp/list.txt; conda list --explicit\n"
    )
    (folder / "private").write_text("for nobody else")
    (folder / "private").chmod(0o600)
    said = conda("install", "mine").stderr
    names = [p["name"] for p in conda.json("find", "mine", "--packages")[0]["packages"]]
    assert names == ["activated", "left", "prefixed", "scripted", "shared"]
    assert _SECRET not in said
    own = [folder / name for name in ("environment.yml", "post.sh")]
    assert sorted(kept(place)) == [*map(str, own)]
    assert f"{own[0]} has a password, token or key in it, and is not kept" in said
    assert f"{folder / 'private'} is closed to others, and is not kept" in said
    assert not [*(place / "t/store").rglob("private")]


def test_messages_of_a_channel_that_fails_do_not_have_them(
    conda: Site, web: Web, place: Path
) -> None:
    recipe(conda, "mine", "packages = 'prefixed'")
    site = conda.with_env(TYKKY_CONDA_ALIASES=f"local={private(web)}")
    site("lock", "mine")
    web.status = 500
    said = site("install", "mine", status=Exit.NETWORK).stderr
    assert "prefixed" in said and _SECRET not in said
    said = site("lock", "mine", status=Exit.NETWORK, env={"TYKKY_CACHE_DIR": f"{place}/new"}).stderr
    assert f"{web.address}/local" in said and _SECRET not in said
    assert kept(place) == []


def test_a_recipe_that_everybody_reads_may_not_have_them(conda: Site) -> None:
    for line in ("channels = 'https://me:hunter2@host/c'", "packages = 'https://h/t/hunter2/c::a'"):
        recipe(conda, "open", f"packages = 'six'\n{line}")
        said = conda("lock", "open", status=Exit.RECIPE).stderr
        assert "has a password or token" in said and "conda.aliases" in said
        assert _SECRET not in said
