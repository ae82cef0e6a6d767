"""A user of the classic commands, and one installation of each kind for tests that only look.

Fixtures: ``classic`` (somebody with an empty home who knows the commands), and, beside ``pip`` and
``conda`` of ``tests/classic.py``, ``wrapped`` and ``disk``: installations that no test may change.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.classic import PROGRAMS, Classic, newcomer
from tests.images import docker_archive, static_program


@pytest.fixture
def classic(place: Path) -> Classic:
    if not (Path(sys.executable).parent / PROGRAMS[0]).exists():
        pytest.fail("the classic commands are not installed; use `make test`")
    return newcomer(place)


@pytest.fixture(scope="session")
def hello(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return static_program(tmp_path_factory.mktemp("hello"))


@pytest.fixture(scope="session")
def image(settled: Classic, hello: bytes) -> str:
    """A container that has nothing but a static program, under three names."""
    files = {"opt/tool/bin/hello": hello, "opt/tool/bin/second": hello, "bin/third": hello}
    env = ["PATH=/opt/tool/bin:/usr/bin:/bin", "GREETING=good day"]
    archive = docker_archive(settled.home / "image.tar", files, env=env)
    return f"docker-archive:{archive}"


@pytest.fixture(scope="session")
def wrapped(settled: Classic, image: str) -> Path:
    settled.sh(f"wrap-container -w /opt/tool/bin,/bin/third --prefix ~/wrapped {image}")
    return settled.home / "wrapped"


@pytest.fixture(scope="session")
def disk(settled: Classic) -> Path:
    settled.sh(
        "mkdir -p tool/bin tool/lib tool/extra;"
        """printf '#!/bin/sh\\necho tool "$@" from $0\\n' > tool/bin/tool;"""
        'printf \'#!/bin/sh\\ncat "$(dirname "$0")/../data"\\n\' > tool/extra/show;'
        "echo data > tool/data; chmod +x tool/bin/tool tool/extra/show;"
        "wrap-install --prefix ~/disk -w bin,extra/show tool"
    )
    return settled.home / "disk"
