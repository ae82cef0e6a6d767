"""One rule for package indexes, whichever way packages come in: the first that has it decides.

The site's index comes first, then the further ones in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.classic import Classic, newcomer
from tests.indexes import address, index
from tests.stacks import HEAD, Site
from tests.system.conda_site import CONDA

#: What each index has, the site's first; the last is everybody's, for pip.
_INDEXES = (
    ("goodpkg==1.0",),
    ("goodpkg==2.0", "second==1.0"),
    ("goodpkg==0.5", "second==2.0"),
)
_WANTED = ("goodpkg", "second")
_ASK = "import goodpkg, second; print(goodpkg.version, second.version)"


@dataclass(frozen=True)
class Person:
    """Somebody who knows all commands; what they get is to be in ``home``."""

    classic: Classic

    @property
    def site(self) -> Site:
        return Site(self.classic.user, self.classic.place / "repo")


@pytest.fixture
def addresses() -> Iterator[list[str]]:
    with ExitStack() as stack:
        webs = [stack.enter_context(index(*packages)) for packages in _INDEXES]
        yield [address(web) for web in webs]


@pytest.fixture
def person(place: Path, addresses: list[str]) -> Person:
    first, *more = addresses
    env = {
        "TYKKY_PIP_INDEX_URL": first,
        "TYKKY_PIP_EXTRA_INDEX_URLS": " ".join((*more, "https://pypi.org/simple")),
        "TYKKY_CACHE_DIR": str(place / "cache"),
    }
    return Person(newcomer(place).with_env(**env))


def _recipe(person: Person, text: str) -> Path:
    site = person.site
    site.write("mine", text)
    site("lock", "mine")
    site("install", "mine")
    return site.prefix("mine")


def pip_recipe(person: Person) -> Path:
    more = f"    packages = {_WANTED}\n    commands = 'python*'\n"
    return _recipe(person, HEAD.format(kind="PipStack") + more)


def conda_recipe(person: Person) -> Path:
    more = f"    packages = 'python', 'pip'\n    pip = {_WANTED}\n    commands = 'python*'\n"
    return _recipe(person, CONDA + more)


def conda_script(person: Person) -> Path:
    more = f"""
    packages = 'python', 'pip'
    commands = 'python*'

    def finish(self, box):
        box.run("pip install {" ".join(_WANTED)}")
"""
    site = person.site
    site.write("mine", CONDA + more)
    site("install", "mine")
    return site.prefix("mine")


def pip_containerize(person: Person) -> Path:
    person.classic.write("req.txt", "\n".join(_WANTED))
    person.classic.sh("pip-containerize new --prefix p req.txt")
    return person.classic.home / "p"


_ENV = "channels: [local]\ndependencies: [python, pip{}]\n"


def conda_containerize(person: Person) -> Path:
    person.classic.write("env.yml", _ENV.format(f", pip: [{', '.join(_WANTED)}]"))
    person.classic.sh("conda-containerize new --prefix p env.yml")
    return person.classic.home / "p"


def conda_containerize_r(person: Person) -> Path:
    person.classic.write("req.txt", "\n".join(_WANTED))
    person.classic.write("env.yml", _ENV.format(""))
    person.classic.sh("conda-containerize new --prefix p -r req.txt env.yml")
    return person.classic.home / "p"


def update(person: Person) -> Path:
    person.classic.write("req.txt", "six\n")
    person.classic.sh("pip-containerize new --prefix p req.txt")
    person.classic.write("req.txt", "\n".join(_WANTED))
    person.classic.sh("pip-containerize update p -r req.txt")
    return person.classic.home / "p"


_WAYS = (
    *(pip_recipe, conda_recipe, conda_script, pip_containerize, conda_containerize),
    *(conda_containerize_r, update),
)


@pytest.mark.parametrize("way", _WAYS, ids=lambda way: way.__name__)
def test_the_first_index_that_has_a_package_decides(
    person: Person, way: Callable[[Person], Path]
) -> None:
    prefix = way(person)
    assert person.classic.says(f"{prefix}/bin/python -c '{_ASK}'") == "1.0 1.0"
