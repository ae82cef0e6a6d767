"""What every test may use: a directory with a short path, a user, the installed program."""

from __future__ import annotations

import getpass
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import DOWNLOADS, NETWORK_VARIABLES, PLACES, Tykky, User, remove


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty directory on local disk with a short path, removed afterwards.

    Set TYKKY_TEST_KEEP to look at it later.
    """
    PLACES.mkdir(mode=0o755, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix="", dir=PLACES))
    path.chmod(0o755)
    yield path
    if not os.environ.get("TYKKY_TEST_KEEP"):
        remove(path)


@pytest.fixture(scope="session")
def program() -> Path:
    """The installed program, from the environment that runs the tests."""
    path = Path(sys.executable).parent / "tykky"
    if not path.exists():
        pytest.fail(f"tykky is not installed beside {sys.executable}; use `make test`")
    return path


@pytest.fixture
def user(place: Path, program: Path) -> User:
    """A user with an empty home, whose PATH has ``tykky`` and the system's commands."""
    home = place / "home"
    bin_ = place / "bin"
    home.mkdir()
    bin_.mkdir()
    # A link of its own: what else is in the tests' environment is not the user's.
    (bin_ / "tykky").symlink_to(program)
    env = {
        "HOME": str(home),
        "USER": getpass.getuser(),
        "LOGNAME": getpass.getuser(),
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "PATH": f"{bin_}:/usr/local/bin:/usr/bin:/bin",
    }
    env.update((name, os.environ[name]) for name in NETWORK_VARIABLES if name in os.environ)
    return User(home, env)


@pytest.fixture
def tykky(place: Path, user: User) -> Tykky:
    """The program with a store at ``<place>/t`` and builds below ``<place>/build``."""
    root = place / "t"
    user.env.update(
        TYKKY_ROOT=str(root),
        TYKKY_BUILD_DIR=str(place / "build"),
        TYKKY_CACHE_DIR=str(DOWNLOADS),
    )
    return Tykky(user, root)
