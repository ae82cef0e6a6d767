"""Registries that want a token of another server, as the large public ones do."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images import PASSWORD, USER, Registry, docker_archive, has_registry, run_registry
from tests.stacks import Site
from tests.tokens import Tokens, give_tokens
from tykky.errors import Exit

pytestmark = pytest.mark.skipif(
    not has_registry() or not shutil.which("openssl"),
    reason="docker-registry, skopeo or openssl is not installed: tools/provision registry",
)


@pytest.fixture
def archive(place: Path) -> Path:
    return docker_archive(place / "image.tar", {"bin/noise": secrets.token_bytes(9000)})


@pytest.fixture
def tokens(place: Path) -> Iterator[Tokens]:
    folder = place / "tokens"
    folder.mkdir()
    with give_tokens(folder) as tokens:
        yield tokens


@pytest.fixture
def registry(place: Path, archive: Path, tokens: Tokens) -> Iterator[Registry]:
    folder = place / "registry"
    folder.mkdir()
    with run_registry(folder, private=True, auth=tokens.auth) as registry:
        registry.push(archive, "public/noise:1")
        registry.push(archive, "own/noise:1")
        tokens.asked.clear()
        yield registry


@pytest.fixture
def site(site: Site, place: Path) -> Site:
    """A site whose downloads are not those of other tests."""
    return site.with_env(TYKKY_CACHE_DIR=str(place / "cache"), XDG_RUNTIME_DIR=str(place))


def refused(site: Site, name: str, status: Exit) -> str:
    """The error of a pull, which is one line of cause and one of remedy, and leaves nothing."""
    error = site("base", "pull", name, status=status).stderr
    step, cause, _ = error.splitlines()
    assert "failed" in step and cause.startswith("tykky: "), error
    assert [p for p in (site.root / "bases").glob("*") if p.suffix != ".lock"] == []
    assert PASSWORD not in error
    return error


def test_public_image_is_pulled_with_a_token_for_nobody(
    site: Site, registry: Registry, tokens: Tokens
) -> None:
    site("base", "pull", f"docker://{registry.host}/public/noise:1")
    site("base", "verify")
    assert tokens.asked == [("", "repository:public/noise:pull")]


@pytest.mark.parametrize(
    "where",
    [".docker/config.json", ".config/containers/auth.json", ".apptainer/docker-config.json"],
)
def test_private_image_is_pulled_with_a_token_for_who_has_logged_in(
    site: Site, registry: Registry, tokens: Tokens, where: str
) -> None:
    registry.log_in(site.user.home / where)
    tokens.asked.clear()
    site("base", "pull", f"docker://{registry.host}/own/noise:1")
    assert tokens.asked == [(USER, "repository:own/noise:pull")]


def test_password_for_another_program_is_not_sent_to_a_registry(
    site: Site, registry: Registry
) -> None:
    netrc = site.user.home / ".netrc"
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    site("base", "pull", f"docker://{registry.host}/public/noise:1")


def test_private_image_for_nobody_is_refused_and_tells_how_to_log_in(
    site: Site, registry: Registry
) -> None:
    error = refused(site, f"docker://{registry.host}/own/noise:1", Exit.BASE)
    assert "/own/noise/manifests/1: it answers 401" in error
    assert f"podman login {registry.host}" in error


def test_password_that_gets_no_token_is_told_with_its_file(
    site: Site, registry: Registry, tokens: Tokens
) -> None:
    login = {"APPTAINER_DOCKER_USERNAME": USER, "APPTAINER_DOCKER_PASSWORD": "never-shown"}
    name = f"docker://{registry.host}/own/noise:1"
    error = refused(site.with_env(**login), name, Exit.BASE)
    assert f"{tokens.address}/token: it answers 401" in error
    assert f"'{USER}' of $APPTAINER_DOCKER_USERNAME" in error
    assert "never-shown" not in error


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b"[1]", b'{"token": ""}'])
def test_answer_that_is_no_token_is_one_error(
    site: Site, registry: Registry, tokens: Tokens, answer: bytes
) -> None:
    tokens.answer = answer
    error = refused(site, f"docker://{registry.host}/public/noise:1", Exit.NETWORK)
    assert f"{tokens.address}/token gives no token" in error


def test_token_that_the_registry_does_not_accept_is_one_error(
    site: Site, registry: Registry, tokens: Tokens
) -> None:
    tokens.answer = b'{"access_token": "a.b.c"}'
    error = refused(site, f"docker://{registry.host}/public/noise:1", Exit.BASE)
    assert "it answers 401" in error


def test_token_for_a_part_is_asked_for_when_a_mirror_lacks_it(
    site: Site, place: Path, registry: Registry, tokens: Tokens, archive: Path
) -> None:
    folder = place / "copy"
    folder.mkdir()
    with run_registry(folder) as copy:
        copy.push(archive, "public/noise:1")
        for data in folder.rglob("blobs/sha256/*/*/data"):
            if data.stat().st_size > 5000:
                data.unlink()
        mirrors = f"registry_mirrors={registry.host}={copy.host}"
        site("-c", mirrors, "base", "pull", f"docker://{registry.host}/public/noise:1")
    site("base", "verify")
    assert tokens.asked == [("", "repository:public/noise:pull")]
