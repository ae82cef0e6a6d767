"""What goes wrong with conda channels and packages: one cause, one remedy, nothing left half."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channel import channel
from tests.servers import Web, serve
from tests.stacks import Site, listing
from tests.support import User
from tests.system.conda_site import make, recipe
from tykky.errors import Exit


@pytest.fixture
def conda(place: Path, user: User) -> Site:
    """A site with an empty store and a cache of its own that knows the tests' channel."""
    return make(place, user).with_env(TYKKY_CACHE_DIR=str(place / "cache"))


@pytest.fixture
def web() -> Iterator[Web]:
    """The tests' channel behind a web server that misbehaves as it is told."""
    with serve() as web:
        for path in channel().rglob("*"):
            # Shards are asked for first; without them, the whole repodata is.
            if path.is_file() and "shards" not in path.name and "shards" not in path.parts:
                web.files[f"/local/{path.relative_to(channel())}"] = path.read_bytes()
        yield web


def refused(site: Site, packages: str, code: Exit, **env: str) -> str:
    """What ``tykky install`` says of a recipe with these packages; nothing may be left of it."""
    recipe(site, "wrong", f"packages = {packages}")
    said = site("install", "wrong", status=code, env=env).stderr
    assert "Traceback" not in said
    assert listing(site.root / "store") == []
    assert site.modulefiles() == []
    build = Path(site.user.env["TYKKY_BUILD_DIR"])
    assert [path for path in listing(build) if not path.startswith("logs")] == []
    return said


def test_packages_that_contradict_each_other_are_explained(conda: Site) -> None:
    said = refused(conda, "'left', 'right'", Exit.RESOLVE)
    assert "the packages contradict each other" in said
    assert "left 1.0 would require" in said and "shared 2.*" in said
    assert "loosen" in said


def test_an_unknown_package_is_answered_with_one_that_is_there(conda: Site) -> None:
    said = refused(conda, "'tabulat'", Exit.UNKNOWN_PACKAGE)
    assert "there is no package 'tabulat'" in said
    assert "did you mean 'tabulate'?" in said


def test_an_unknown_version_is_answered_with_those_that_are_there(conda: Site) -> None:
    said = refused(conda, "'six 9.*'", Exit.RESOLVE)
    assert "there is no six 9.*" in said
    assert "1.17.0, 1.16.0" in said


def test_a_dependency_that_no_channel_has_is_named(conda: Site) -> None:
    said = refused(conda, "'orphan'", Exit.RESOLVE)
    assert "needs 'no-such-package'" in said


def test_a_package_for_newer_machines_names_what_they_lack(conda: Site) -> None:
    said = refused(conda, "'modern'", Exit.RESOLVE)
    assert "__glibc >=2.99" in said and "conda.virtual_packages" in said


def test_what_is_no_spec_is_named(conda: Site) -> None:
    assert "'six >='" in refused(conda, "'six >='", Exit.RECIPE)


def test_machines_with_graphics_processors_are_declared(conda: Site) -> None:
    recipe(conda, "gpu", "packages = 'graphical'\nvirtual_packages = '__cuda=12.4'")
    conda("lock", "gpu")
    recipe(conda, "gpu2", "packages = 'graphical'")
    conda("lock", "gpu2", env={"TYKKY_CONDA_VIRTUAL_PACKAGES": "__cuda=12.4"})


def test_what_this_machine_lacks_of_those_that_a_stack_is_for_is_a_warning(conda: Site) -> None:
    lines = "packages = 'modern'\nvirtual_packages = '__glibc=99'\ncommands = ()"
    recipe(conda, "later", lines)
    assert "with __glibc 99, and this one has 2." in conda("install", "later").stderr
    recipe(conda, "now", "packages = 'prefixed'")
    assert "warning" not in conda("install", "now").stderr


def test_a_channel_that_is_not_there_is_named(conda: Site, place: Path) -> None:
    said = refused(conda, "'six'", Exit.NETWORK, TYKKY_CONDA_ALIASES=f"local=file://{place}/no")
    assert f"the channel file://{place}/no is not there" in said


def test_a_channel_that_cannot_be_reached_is_named(conda: Site) -> None:
    said = refused(conda, "'six'", Exit.NETWORK, TYKKY_CONDA_ALIASES="local=http://127.0.0.1:9/c")
    assert "the channel http://127.0.0.1:9/c cannot be reached" in said


def test_a_channel_that_the_site_has_blocked_is_refused_with_its_words(conda: Site) -> None:
    env = {
        "TYKKY_CONDA_BLOCKED": "defaults https://repo.anaconda.com",
        "TYKKY_CONDA_BLOCKED_MESSAGE": "its terms forbid it at this site",
    }
    for name in ("defaults", "https://repo.anaconda.com/pkgs/main"):
        conda.write("wrong", "")
        recipe(conda, "wrong", f"packages = 'six'\nchannels = 'local', '{name}'")
        said = conda("lock", "wrong", status=Exit.RESOLVE, env=env).stderr
        assert f"'{name}' may not be used here: its terms forbid it at this site" in said


def test_broken_repodata_is_refused_and_forgotten(conda: Site, web: Web) -> None:
    alias = {"TYKKY_CONDA_ALIASES": f"local={web.address}/local"}
    good = {name: data for name, data in web.files.items() if "/repodata" in name}
    for name in good:
        web.files[name] = b'{"packages": {"six-1-0.conda": '
    said = refused(conda, "'six'", Exit.DAMAGED, **alias)
    assert f"{web.address}/local lists its packages in a way that cannot be read" in said
    web.files.update(good)
    conda("lock", "wrong", env=alias)


def test_a_truncated_package_is_refused_and_forgotten(conda: Site, web: Web) -> None:
    alias = {"TYKKY_CONDA_ALIASES": f"local={web.address}/local"}
    name = "/local/noarch/tabulate-0.9.0-pyh0_0.conda"
    whole = web.files[name]
    web.files[name] = whole[:1000]
    said = refused(conda, "'tabulate'", Exit.DAMAGED, **alias)
    assert "tabulate-0.9.0-pyh0_0.conda" in said
    web.files[name] = whole
    conda("install", "wrong", env=alias)


def test_a_download_that_breaks_off_goes_on(conda: Site, web: Web) -> None:
    recipe(conda, "right", "packages = 'tabulate'")
    alias = {"TYKKY_CONDA_ALIASES": f"local={web.address}/local"}
    conda("lock", "right", env=alias)
    web.breaks = [1000, 2000]
    conda("install", "right", env=alias)


def test_a_package_that_is_not_the_one_in_the_lock_is_refused(conda: Site) -> None:
    recipe(conda, "wrong", "packages = 'prefixed'")
    conda("lock", "wrong")
    (path,) = (conda.repo / "wrong/locks").iterdir()
    lock = json.loads(path.read_text())
    digest = lock["packages"][0]["sha256"]
    path.write_text(path.read_text().replace(digest, "0" * 64))
    said = conda("install", "wrong", status=Exit.DAMAGED).stderr
    assert digest in said and "0" * 64 in said
    assert listing(conda.root / "store") == []


def test_a_package_damaged_in_the_cache_is_not_used(conda: Site, place: Path) -> None:
    recipe(conda, "right", "packages = 'prefixed'")
    conda("lock", "right")
    (path,) = (conda.repo / "right/locks").iterdir()
    package = json.loads(path.read_text())["packages"][0]
    kept = place / "cache/downloads" / package["sha256"]
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(b"poison")
    assert f"{kept} is not the file that it was" in conda("install", "right").stderr
    assert kept.stat().st_size == package["size"]
    prefix = conda.prefix("right")
    assert conda.user.run(prefix / "bin/show-prefix").stdout == f"{prefix}\n"


def test_a_cache_that_cannot_be_written_to_is_named_and_may_be_mended(
    conda: Site, place: Path
) -> None:
    recipe(conda, "right", "packages = 'prefixed'")
    conda("lock", "right")
    downloads = place / "cache/downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    downloads.chmod(0o500)
    said = conda("install", "right", status=Exit.NOT_WRITABLE).stderr
    assert str(downloads) in said and "'tykky config set cache_dir DIR'" in said
    downloads.chmod(0o700)
    limited = "ulimit -f 1; exec tykky install right"
    done = conda.user.bash(limited, status=Exit.NO_SPACE)
    assert "File too large" in done.stderr and "ulimit -f unlimited" in done.stderr
    assert listing(conda.root / "store") == []
    conda("install", "right")


def test_a_package_that_cannot_be_unpacked_is_named(conda: Site, place: Path) -> None:
    import hashlib

    recipe(conda, "wrong", "packages = 'prefixed'")
    conda("lock", "wrong")
    (path,) = (conda.repo / "wrong/locks").iterdir()
    package = json.loads(path.read_text())["packages"][0]
    broken = place / "prefixed-1.0-0.conda"
    broken.write_bytes(Path(package["url"].removeprefix("file://")).read_bytes()[:-3000])
    text = path.read_text().replace(package["url"], broken.as_uri())
    path.write_text(
        text.replace(package["sha256"], hashlib.sha256(broken.read_bytes()).hexdigest())
    )
    said = conda("install", "wrong", status=Exit.DAMAGED).stderr
    assert "prefixed-1.0-0.conda cannot be unpacked" in said
    assert listing(conda.root / "store") == []


# -- the user's own configuration -------------------------------------------------------------


def test_the_configuration_of_a_user_has_no_effect_unless_asked_for(conda: Site) -> None:
    elsewhere = "channels: [nowhere]\nchannel_alias: http://127.0.0.1:9\n"
    (conda.user.home / ".condarc").write_text(elsewhere)
    mine = {"CONDA_CHANNELS": "nowhere", "CONDA_OVERRIDE_GLIBC": "2.99", "CONDA_SUBDIR": "win-64"}
    mine |= {"CONDA_PKGS_DIRS": "/nowhere", "CONDA_PREFIX": "/nowhere", "RATTLER_CACHE_DIR": "/no"}
    recipe(conda, "mine", "packages = 'tabulate'")
    conda("lock", "mine", env=mine)
    first = (conda.repo / "mine/locks/1.0-x86_64.json").read_text()
    conda("install", "mine", env=mine)
    recipe(conda, "wrong", "packages = 'modern'")
    conda("lock", "wrong", status=Exit.RESOLVE, env=mine)
    # Not even where everything that this machine has counts, or no channel is named.
    mine |= {"CONDA_OVERRIDE_CUDA": "12.4", "TYKKY_CONDA_VIRTUAL_PACKAGES": "machine"}
    recipe(conda, "wrong", "packages = 'graphical'")
    conda("lock", "wrong", status=Exit.RESOLVE, env=mine)
    recipe(conda, "plain", "channels = ()\npackages = 'left'")
    conda("lock", "plain", env={**mine, "TYKKY_CONDA_CHANNELS": "local"})
    conda("lock", "--check", "mine")
    assert (conda.repo / "mine/locks/1.0-x86_64.json").read_text() == first


def test_the_configuration_of_a_user_counts_if_asked_for(conda: Site) -> None:
    rc = f"channels: [mychannel]\ncustom_channels:\n  mychannel: {channel().parent.as_uri()}\n"
    (conda.user.home / ".condarc").write_text(rc.replace("mychannel", channel().name))
    recipe(conda, "mine", "channels = ()\npackages = 'left'")
    conda("lock", "mine", env={"CW_ENABLE_CONDARC": "yes"})
    assert channel().name in (conda.repo / "mine/locks/1.0-x86_64.json").read_text()
    for text, says in (
        ("channels: [a\n", "not valid YAML"),
        ("channels: conda-forge\n", "'channels' of the conda configuration is not a list"),
        ("custom_channels: [a]\n", "is not NAME: ADDRESS"),
        ("custom_channels: {a: me:hunter2@host}\n", "'custom_channels: a'"),
        ("channel_alias: 5\n", "'channel_alias' of the conda configuration, '5', is no address"),
    ):
        (conda.user.home / ".condarc").write_text(text)
        said = conda("lock", "mine", status=Exit.CONFIG, env={"CW_ENABLE_CONDARC": "yes"}).stderr
        assert says in said and "unset CW_ENABLE_CONDARC" in said


def test_a_spec_may_name_its_channel(conda: Site) -> None:
    recipe(conda, "one", "channels = 'local'\npackages = 'local::tabulate >=0.9'")
    conda("lock", "one")


def test_mirrors_are_asked_for_repodata_and_packages(conda: Site, web: Web) -> None:
    recipe(conda, "far", "packages = 'prefixed'")
    mirror = {"TYKKY_MIRRORS": f"{web.address}/mirror"}
    for name in list(web.files):
        web.files[f"/mirror/127.0.0.1{name}"] = web.files.pop(name)
    conda("install", "far", env={**mirror, "TYKKY_CONDA_ALIASES": "local=http://127.0.0.1:9/local"})
    kept = (conda.generation("far") / "lock.json").read_text()
    assert '"url": "http://127.0.0.1:9/local/linux-64/prefixed-1.0-0.conda"' in kept


def test_a_mirror_on_disk_has_repodata_and_packages(conda: Site, place: Path) -> None:
    far = "https://conda.nowhere.example"
    recipe(conda, "far", f"packages = 'prefixed', '{far}/local::activated'")
    (place / "mirror/conda.nowhere.example").mkdir(parents=True)
    (place / "mirror/conda.nowhere.example/local").symlink_to(channel())
    site = conda.with_env(
        TYKKY_MIRRORS=f"file://{place}/mirror", TYKKY_CONDA_ALIASES=f"local={far}/local"
    )
    site("install", "far")
    kept = (site.generation("far") / "lock.json").read_text()
    assert f'"url": "{far}/local/linux-64/prefixed-1.0-0.conda"' in kept
    assert "mirror" not in kept
