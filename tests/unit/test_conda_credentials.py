"""Passwords and tokens of channels: where they are, and where they are not."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tykky.conda.channels import login, private, public, taken_out
from tykky.conda.environment import Environment, Pinned
from tykky.config import Config
from tykky.errors import StepError, masked


@pytest.mark.parametrize(
    ("full", "plain"),
    [
        ("https://me:secret@host/c", "https://host/c"),
        ("https://secret@host:8080/c/linux-64/a.conda", "https://host:8080/c/linux-64/a.conda"),
        ("https://host/t/se-cret/c", "https://host/c"),
        ("https://me:pass@host/t/secret/c", "https://host/c"),
        ("https://host/c/t/label", "https://host/c/t/label"),
        ("https://host/c", "https://host/c"),
        ("file:///t/secret/c", "file:///t/secret/c"),
        ("conda-forge", "conda-forge"),
    ],
)
def test_what_is_kept_of_an_address_has_no_credentials(full: str, plain: str) -> None:
    assert public(full) == plain


def test_what_is_asked_has_those_of_the_configuration(tmp_path: Path) -> None:
    aliases = "near=https://me:secret@host/near far=https://host/t/token/far"
    config = Config.load({}, {"HOME": str(tmp_path), "TYKKY_CONDA_ALIASES": aliases})
    assert private("https://host/near/noarch/a", config) == "https://me:secret@host/near/noarch/a"
    assert private("https://host/far", config) == "https://host/t/token/far"
    assert private("https://host/nearby/a", config) == "https://host/nearby/a"


def test_those_of_a_file_are_taken_out_and_found_again(tmp_path: Path) -> None:
    config = Config.load({}, {"HOME": str(tmp_path)})
    wanted = Environment(
        channels=("conda-forge", "https://host/t/one/a"),
        specs=("https://me:two@host/b::six >=1", "pip"),
        pinned=(Pinned("https://host/t/three/c/noarch/x-1-0.conda", "d"),),
    )
    open_, config = taken_out(wanted, config)
    assert open_.channels == ("conda-forge", "https://host/a")
    assert open_.specs == ("https://host/b::six >=1", "pip")
    assert open_.pinned == (Pinned("https://host/c/noarch/x-1-0.conda", "d"),)
    for channel, full in (("a", "t/one/a"), ("c", "t/three/c")):
        assert private(f"https://host/{channel}/noarch", config) == f"https://host/{full}/noarch"
    assert private("https://host/b", config) == "https://me:two@host/b"


def test_a_login_is_a_header_and_no_address() -> None:
    address, header = login("https://me:se%3Acret@host/c")
    assert address == "https://host/c"
    assert base64.b64decode(header.removeprefix("Basic ")) == b"me:se:cret"
    assert login("https://host/c") == ("https://host/c", "")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("see https://me:secret@host/c.", "see https://***@host/c."),
        ("HTTPS://secret@host", "HTTPS://***@host"),
        ("http://me:sec@ret@host:80/c http://b", "http://***@host:80/c http://b"),
        ("git+https://me:secret@host/c.git", "git+https://***@host/c.git"),
        ("postgres://me:secret@host/db", "postgres://***@host/db"),
        ("socks5://me:secret@proxy", "socks5://***@proxy"),
        ("ssh://git@host/c", "ssh://git@host/c"),
        (
            "docker://a@sha256:0 docker://h:5/a@sha256:0",
            "docker://a@sha256:0 docker://h:5/a@sha256:0",
        ),
        ("['https://a', 'me@b']", "['https://a', 'me@b']"),
        ("https://host/t/se-cret/c", "https://host/t/***/c"),
        (
            "https://host/c?a=1&X-Amz-Signature=secret&b=2",
            "https://host/c?a=1&X-Amz-Signature=***&b=2",
        ),
        ("https://host/c?private_token=secret", "https://host/c?private_token=***"),
        ("> Authorization: Bearer secret", "> Authorization: Bearer ***"),
        ("https://host/token?scope=a@b", "https://host/token?scope=a@b"),
    ],
)
def test_texts_are_shown_without_what_is_secret_in_them(text: str, plain: str) -> None:
    assert masked(text) == plain


def test_messages_have_none() -> None:
    said = StepError(
        "https://me:secret@host/c and https://host/t/secret/c 'http://host/t/secret' are not there",
        remedy="ask https://secret@host",
        details=("url (https://host/t/secret/linux-64/repodata.json)",),
    )
    assert "secret" not in f"{said} {said.cause} {said.remedy} {said.details}"
    assert "docker://a@sha256:0" in StepError("docker://a@sha256:0").cause
