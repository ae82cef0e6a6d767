"""All ways in which packages of an index get into an install, for what must hold in each.

A way is a function that installs ``goodpkg`` and ``second``, with recipes or the classic commands,
and returns the prefix; ``WAYS`` has them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.classic import Classic, newcomer
from tests.stacks import HEAD, Site
from tests.system.conda_site import CONDA

_WANTED = ("goodpkg", "second")
_ENV = "channels: [local]\ndependencies: [python, pip{}]\n"
#: Everybody's index, the last of all: where pip itself comes from.
PUBLIC = "https://pypi.org/simple"


@dataclass(frozen=True)
class Person:
    """Somebody who knows all commands; ``said`` is what they have been told."""

    classic: Classic
    said: list[str] = field(default_factory=list)

    def tykky(self, *words: str) -> None:
        done = Site(self.classic.user, self.classic.place / "repo")(*words)
        self.said.append(done.stdout + done.stderr)

    def sh(self, script: str, status: int | None = 0) -> str:
        done = self.classic.sh(script, status=status)
        self.said.append(done.stdout + done.stderr)
        return done.stdout

    def recipe(self, text: str, *, locked: bool = True) -> Path:
        """Install a recipe, and make its lock before."""
        site = Site(self.classic.user, self.classic.place / "repo")
        site.write("mine", text)
        if locked:
            self.tykky("lock", "mine")
        self.tykky("install", "mine")
        return site.prefix("mine")

    def make(self, line: str, files: dict[str, str]) -> Path:
        """Install with a classic command line, at ``p``."""
        for name, text in files.items():
            self.classic.write(name, text)
        self.sh(line)
        return self.classic.home / "p"

    def with_env(self, **env: str) -> Person:
        return replace(self, classic=self.classic.with_env(**env))


def person(place: Path, index: str, *further: str) -> Person:
    """Somebody whose site has these indexes, and a cache of their own."""
    env = {
        "TYKKY_PIP_INDEX_URL": index,
        "TYKKY_PIP_EXTRA_INDEX_URLS": " ".join(further),
        "TYKKY_CACHE_DIR": str(place / "cache"),
    }
    return Person(newcomer(place).with_env(**env))


def pip_recipe(person: Person) -> Path:
    more = f"    packages = {_WANTED}\n    commands = 'python*'\n"
    return person.recipe(HEAD.format(kind="PipStack") + more)


def conda_recipe(person: Person) -> Path:
    more = f"    packages = 'python', 'pip'\n    pip = {_WANTED}\n    commands = 'python*'\n"
    return person.recipe(CONDA + more)


def conda_script(person: Person) -> Path:
    more = f"""
    packages = 'python', 'pip'
    commands = 'python*'
    network = True

    def finish(self, box):
        box.run("pip install {" ".join(_WANTED)}")
"""
    return person.recipe(CONDA + more, locked=False)


def pip_containerize(person: Person) -> Path:
    files = {"req.txt": "\n".join(_WANTED)}
    return person.make("pip-containerize new --prefix p req.txt", files)


def pip_containerize_update(person: Person) -> Path:
    files = {"req.txt": "goodpkg\n", "more.txt": "second\n"}
    line = "pip-containerize new --prefix p req.txt; pip-containerize update -r more.txt p"
    return person.make(line, files)


def conda_containerize(person: Person) -> Path:
    files = {"env.yml": _ENV.format(f", pip: [{', '.join(_WANTED)}]")}
    return person.make("conda-containerize new --prefix p env.yml", files)


def conda_containerize_r(person: Person) -> Path:
    files = {"env.yml": _ENV.format(""), "req.txt": "\n".join(_WANTED)}
    return person.make("conda-containerize new --prefix p -r req.txt env.yml", files)


WAYS: tuple[Callable[[Person], Path], ...] = (
    *(pip_recipe, conda_recipe, conda_script, pip_containerize, pip_containerize_update),
    *(conda_containerize, conda_containerize_r),
)
