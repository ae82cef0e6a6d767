"""Passwords and tokens in what users give: used, and readable nowhere in an installation."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.classic import Classic
from tests.indexes import wheel
from tests.servers import Web, serve

SECRET = "hunter2"


@pytest.fixture
def web() -> Iterator[Web]:
    """A server with two packages, for those who have the password."""
    with serve() as web:
        for name in ("first", "second"):
            web.files[f"/{name}-1.0-py3-none-any.whl"] = wheel(name)
        web.heads = True
        web.login = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()
        yield web


def leaks(folder: Path) -> list[str]:
    """The files below a folder that have the secret in them."""
    found = []
    for path in folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        data = gzip.decompress(data) if path.name.endswith(".gz") else data
        if SECRET.encode() in data:
            found.append(str(path))
    return found


def requirement(web: Web, name: str) -> str:
    address = web.address.replace("://", f"://me:{SECRET}@")
    return f"{name} @ {address}/{name}-1.0-py3-none-any.whl\n"


def test_they_are_not_kept_with_an_installation(classic: Classic, web: Web) -> None:
    classic.write("req.txt", requirement(web, "first"))
    classic.write("post.sh", f"echo asking https://host/t/{SECRET}/channel\n")
    classic.sh("pip-containerize new --prefix p --post post.sh req.txt")
    classic.write("more.txt", requirement(web, "second"))
    classic.sh(
        "pip-containerize update --post post.sh -r more.txt p;"
        "p/bin/python -c 'import first, second'"
    )
    kept = (classic.home / "p/share/previous_input/0/req.txt").read_text()
    assert kept.startswith("first @ http://***@127.0.0.1:")
    classic.sh("unsquashfs -q -n -d contents p/img.sqfs")
    assert leaks(classic.home / "p") == []
    assert leaks(classic.home / "contents") == []


def test_commands_in_a_configuration_are_kept_without_them(classic: Classic) -> None:
    classic.sh("mkdir -p t/bin; printf '#!/bin/sh\\necho $ASK\\n' > t/bin/x; chmod +x t/bin/x")
    ask = f"https://me:{SECRET}@host/"
    classic.write("conf.yaml", f"post_install: ['true {ask}']\n")
    classic.sh("wrap-install -y conf.yaml -w bin --prefix p t")
    assert "true https://***@host/" in (classic.home / "p/share/conf.yaml").read_text()
    assert leaks(classic.home / "p") == []


def test_what_a_failed_build_leaves_is_for_its_user_only(classic: Classic, web: Web) -> None:
    classic.write("req.txt", requirement(web, "third"))
    done = classic.sh("UV_HTTP_RETRIES=0 pip-containerize new --prefix p req.txt", status=None)
    assert done.returncode != 0
    assert SECRET not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "the whole log:" in line]
    folder = Path(line.split()[-1]).parents[1]
    assert folder.stat().st_mode & 0o077 == 0
