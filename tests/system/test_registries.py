"""Registries that are slow, silent, private or copied: real ones, with real logins."""

from __future__ import annotations

import json
import os
import pty
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images import PASSWORD, USER, Registry, docker_archive, has_registry, run_registry
from tests.servers import Relay, slow_down
from tests.stacks import Site
from tykky.errors import Exit

pytestmark = pytest.mark.skipif(
    not has_registry(),
    reason="docker-registry or skopeo is not installed: tools/provision registry",
)

#: Bytes of the image's only file, which no compression makes smaller.
SIZE = 600_000


@pytest.fixture
def archive(place: Path) -> Path:
    return docker_archive(place / "image.tar", {"bin/noise": secrets.token_bytes(SIZE)})


@pytest.fixture
def registry(place: Path, archive: Path) -> Iterator[Registry]:
    folder = place / "registry"
    folder.mkdir()
    with run_registry(folder) as registry:
        registry.push(archive, "noise:1")
        yield registry


@pytest.fixture
def relay(registry: Registry) -> Iterator[Relay]:
    with slow_down(registry.host) as relay:
        yield relay


@pytest.fixture
def private(place: Path, archive: Path) -> Iterator[Registry]:
    folder = place / "private"
    folder.mkdir()
    with run_registry(folder, private=True) as registry:
        registry.push(archive, "noise:1")
        yield registry


@pytest.fixture
def site(site: Site, place: Path) -> Site:
    """A site whose downloads are not those of other tests."""
    return site.with_env(TYKKY_CACHE_DIR=str(place / "cache"), XDG_RUNTIME_DIR=str(place))


def images(site: Site) -> list[Path]:
    return [path for path in (site.root / "bases").glob("*") if path.suffix != ".lock"]


def nothing_left(site: Site) -> bool:
    """No image, and no half of one, in the cache of bases or the place for builds."""
    return not images(site) + list(Path(site.user.env["TYKKY_BUILD_DIR"]).glob("pull-*"))


def two_lines(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether an error is one line of cause and one of remedy, after that of the step."""
    lines = done.stderr.splitlines()
    return len(lines) == 3 and "failed" in lines[0] and lines[1].startswith("tykky: ")


# -- slow -------------------------------------------------------------------------------------


def test_slow_registry_is_waited_for_and_progress_is_shown(site: Site, relay: Relay) -> None:
    relay.rate = SIZE / 3
    controller, terminal = pty.openpty()
    words = ("-c", "timeout=1", "base", "pull", f"docker://{relay.host}/noise:1")
    running = site.start(*words, stderr=terminal, env={"TERM": "xterm"})
    os.close(terminal)
    shown = b""
    try:
        while data := os.read(controller, 4096):
            shown += data
    except OSError:  # how a terminal tells that its last user is gone
        pass
    os.close(controller)
    assert running.wait() == 0, shown
    assert b"part 2 of 2" in shown
    assert re.search(rb"downloading [0-9a-f]+, \d+ kB of 6\d\d kB", shown), shown


@pytest.mark.parametrize("total", [0, 300_000], ids=["at once", "in the middle"])
def test_silent_registry_is_given_up_after_the_time_configured(
    site: Site, relay: Relay, total: int
) -> None:
    name = f"docker://{relay.host}/noise:1"
    relay.total = total
    done = site("-c", "timeout=1", "base", "pull", name, status=Exit.NETWORK)
    assert "the server sent nothing for 1 s" in done.stderr
    assert "tykky config set timeout" in done.stderr
    assert two_lines(done), done.stderr
    assert nothing_left(site)
    # What had come is kept.
    relay.total, relay.sent = float("inf"), 0
    site("base", "pull", name)
    assert relay.sent < SIZE or not total


def test_registry_that_breaks_off_again_and_again_is_asked_for_the_rest(
    site: Site, relay: Relay
) -> None:
    relay.most, relay.silent = 200_000, False
    site("base", "pull", f"docker://{relay.host}/noise:1")
    assert relay.sent < 1.2 * SIZE
    assert len(images(site)) == 2


def test_registry_that_sends_nothing_but_ends_is_one_error(site: Site, relay: Relay) -> None:
    relay.most, relay.silent = 0, False
    name = f"docker://{relay.host}/noise:1"
    done = site("base", "pull", name, status=Exit.NETWORK)
    assert two_lines(done), done.stderr
    assert nothing_left(site)


# -- private ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where",
    [
        "home/.docker/config.json",
        "home/.config/containers/auth.json",
        "home/.apptainer/docker-config.json",
        "containers/auth.json",
        "given.json",
        "variables",
    ],
)
def test_private_image_is_pulled_with_what_a_login_left(
    site: Site, place: Path, private: Registry, where: str
) -> None:
    if where == "variables":
        login = {"APPTAINER_DOCKER_USERNAME": USER, "APPTAINER_DOCKER_PASSWORD": PASSWORD}
        site = site.with_env(**login)
    else:
        private.log_in(place / where)
    if where == "given.json":
        site = site.with_env(REGISTRY_AUTH_FILE=str(place / where))
    site("base", "pull", f"docker://{private.host}/noise:1")
    site("base", "verify")
    kept = [*(site.root / "bases").iterdir(), *(place / "cache").rglob("*")]
    assert not [p for p in kept if p.is_file() and PASSWORD.encode() in p.read_bytes()]


def test_private_image_without_login_is_one_error_that_tells_how(
    site: Site, private: Registry
) -> None:
    name = f"docker://{private.host}/noise:1"
    done = site("base", "pull", name, status=Exit.BASE)
    assert "401" in done.stderr
    assert f"podman login {private.host}" in done.stderr
    assert two_lines(done), done.stderr
    assert nothing_left(site)


def test_password_that_is_wrong_is_told_with_its_file_and_not_shown(
    site: Site, place: Path, private: Registry
) -> None:
    file = site.user.home / ".docker/config.json"
    private.log_in(file)
    text = file.read_text()
    import base64

    right = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    wrong = base64.b64encode(f"{USER}:never-shown".encode()).decode()
    assert right in text
    file.write_text(text.replace(right, wrong))
    done = site("base", "pull", f"docker://{private.host}/noise:1", status=Exit.BASE)
    assert str(file) in done.stderr and f"'{USER}'" in done.stderr
    assert "never-shown" not in done.stderr and wrong not in done.stderr
    assert two_lines(done), done.stderr


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "cannot be read or understood"),
        ("[]", "cannot be read or understood"),
        ('{"auths": []}', ""),
        ('{"auths": {"HOST": {}}}', "has for it cannot be understood"),
        ('{"credHelpers": {"HOST": "pass"}}', "leaves passwords to a helper program"),
    ],
)
def test_file_of_no_use_for_credentials_is_passed_over_and_named_in_the_end(
    site: Site, private: Registry, text: str, why: str
) -> None:
    file = site.user.home / ".config/containers/auth.json"
    file.parent.mkdir(parents=True)
    file.write_text(text.replace("HOST", private.host))
    done = site("base", "pull", f"docker://{private.host}/noise:1", status=Exit.BASE)
    assert (why in done.stderr) and (str(file) in done.stderr) == bool(why)
    private.log_in(site.user.home / ".docker/config.json")
    site("base", "pull", f"docker://{private.host}/noise:1")


# -- copied -----------------------------------------------------------------------------------


def test_mirror_of_a_registry_is_asked_first_and_the_registry_afterwards(
    site: Site, registry: Registry, archive: Path
) -> None:
    registry.push(archive, "copies/noise:1")
    # Nothing listens there: only the mirror can have it.
    config = site.user.home / ".config/tykky/config.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f"registry_mirrors: ['127.0.0.1:9={registry.host}/copies']\n")
    site("base", "pull", "docker://127.0.0.1:9/noise:1")
    (row,) = site.json("base", "list")
    assert row["reference"] == "docker://127.0.0.1:9/noise:1"
    config.write_text(f"registry_mirrors: ['{registry.host}=127.0.0.1:9']\n")
    site("base", "pull", f"docker://{registry.host}/noise:1")
    done = site("-c", "registry_mirrors=here", "base", "list", status=Exit.CONFIG)
    assert "REGISTRY=MIRROR" in done.stderr


@pytest.fixture
def copy(place: Path, archive: Path) -> Iterator[Registry]:
    """A second registry with the same image."""
    folder = place / "copy"
    folder.mkdir()
    with run_registry(folder) as registry:
        registry.push(archive, "noise:1")
        yield registry


def layer_of(registry: Registry, digest: str) -> Path:
    """The file of the only layer of an image."""
    manifest = json.loads(registry.blob(digest).read_bytes())
    return registry.blob(manifest["layers"][0]["digest"].removeprefix("sha256:"))


@pytest.mark.parametrize("fault", ["lacks", "damaged"])
def test_mirror_without_a_layer_has_it_from_the_registry(
    site: Site, registry: Registry, copy: Registry, archive: Path, fault: str
) -> None:
    layer = layer_of(copy, copy.push(archive, "noise:1"))
    if fault == "lacks":
        layer.unlink()
    else:
        layer.write_bytes(b"evil" + layer.read_bytes()[4:])
    name = f"docker://{registry.host}/noise:1"
    mirrors = f"registry_mirrors={registry.host}={copy.host}"
    site("-c", mirrors, "base", "pull", name)
    site("base", "verify")
    # Where the registry cannot help, the error names both.
    layer_of(registry, registry.push(archive, "noise:1")).unlink()
    other = site.with_env(TYKKY_BASES_DIR=str(site.root / "others"))
    shutil.rmtree(site.user.env["TYKKY_CACHE_DIR"])
    done = other("-c", mirrors, "base", "pull", name, status=Exit.BASE)
    assert registry.host in done.stderr and copy.host in done.stderr
    assert two_lines(done), done.stderr


def test_mirror_that_breaks_off_in_a_layer_is_left_for_the_registry(
    site: Site, relay: Relay, copy: Registry
) -> None:
    relay.total, relay.silent = 200_000, False
    name = f"docker://{copy.host}/noise:1"
    site("-c", f"registry_mirrors={copy.host}={relay.host}", "base", "pull", name)
    assert relay.sent == 200_000
    site("base", "verify")
