"""A user whose recipes name the channel ``local``, which is the one that the tests bring."""

from __future__ import annotations

from pathlib import Path

from tests.channel import channel
from tests.stacks import Site, settle
from tests.support import User

CONDA = '''\
from tykky import CondaStack


class Recipe(CondaStack):
    """A conda environment for the tests."""

    homepage = "https://example.org"
    license = "MIT"
    versions = "1.0"
    channels = "local"
'''


def make(place: Path, user: User) -> Site:
    """A site of ``user`` that knows the tests' channel by the name ``local``."""
    site = settle(place, user)
    return site.with_env(TYKKY_CONDA_ALIASES=f"local={channel().as_uri()}")


def recipe(site: Site, name: str, lines: str) -> Path:
    """Write a recipe whose class has these lines besides what all have."""
    return site.write(name, CONDA + "\n" + "".join(f"    {line}\n" for line in lines.split("\n")))
