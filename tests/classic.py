"""A user of the classic commands, and installations with a Python for tests that only look.

``conftest.py`` offers the fixtures to all tests: ``settled`` (somebody who knows the commands),
``pip`` and ``conda``, their installations, which no test may change.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.channel import channel
from tests.stacks import settle
from tests.support import User, log_in, new_place, remove

PROGRAMS = ("conda-containerize", "pip-containerize", "wrap-container", "wrap-install")


@dataclass(frozen=True)
class Classic:
    """Somebody who types whole command lines in bash, in their home."""

    user: User
    place: Path

    def sh(self, script: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a bash script that stops at the first command that fails."""
        return self.user.bash(script, **options)

    def says(self, script: str, **options: Any) -> str:
        """What a bash script prints, without the last line break."""
        return self.sh(script, **options).stdout.rstrip("\n")

    def write(self, name: str, text: str) -> Path:
        """Write a file in the home directory."""
        path = self.user.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def with_env(self, **env: str) -> Classic:
        """The same user with more in the environment."""
        return replace(self, user=User(self.user.home, {**self.user.env, **env}))

    @property
    def home(self) -> Path:
        return self.user.home


def newcomer(place: Path) -> Classic:
    """Somebody with an empty home, whose PATH has the commands and a conda channel's name."""
    user = settle(place, log_in(place)).user
    for name in PROGRAMS:
        (place / "bin" / name).symlink_to(Path(sys.executable).parent / name)
    env = {
        **user.env,
        "TYKKY_CONDA_ALIASES": f"local={channel().as_uri()}",
        "TMPDIR": str(place / "tmp"),
    }
    (place / "tmp").mkdir()
    return Classic(User(user.home, env), place)


@pytest.fixture(scope="session")
def settled() -> Iterator[Classic]:
    """Somebody with an installation of each kind."""
    place = new_place()
    yield newcomer(place)
    remove(place)


ENVIRONMENT = """\
name: anything
channels: [local]
dependencies:
  - python
  - activated
  - pip
  - pip:
    - tabulate==0.9.0
"""


@pytest.fixture(scope="session")
def pip(settled: Classic) -> Path:
    settled.write("req.txt", "tabulate==0.9.0\nsix==1.17.0\n")
    settled.write("post.sh", "echo post > $CW_INSTALLATION_PATH/post\n")
    settled.sh("pip-containerize new --prefix ~/pip --post post.sh req.txt")
    return settled.home / "pip"


@pytest.fixture(scope="session")
def conda(settled: Classic) -> Path:
    settled.write("env.yml", ENVIRONMENT)
    settled.sh("conda-containerize new --prefix ~/conda env.yml")
    return settled.home / "conda"
