"""Recipes for the tests, and a user whose ``tykky`` knows them.

``Hello`` is the smallest stack there is: one shell script, no packages, no network. The
pipeline around it is the real one, and takes half a second. ``Tiny`` is a stack of two small
packages from the package index.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import CompletedProcess
from textwrap import dedent, indent
from typing import Any

from tests.support import DOWNLOADS, Tykky, User
from tykky.files import Permissions
from tykky.store import Place, state
from tykky.store.written import note

LMOD = "/usr/share/lmod/lmod/init/bash"

HELLO = '''\
from tykky.kinds.stack import Stack


class Hello(Stack):
    """Says hello."""

    homepage = "https://hello.example"
    license = "MIT"
    versions = {versions}
    commands = "hello"

    def assemble(self, box):
        script = box.write("bin/hello", f"#!/bin/sh\\necho hello {{self.version}} $@\\n")
        box.run(["chmod", "+x", script])

    def test(self, box):
        box.run("hello world")
'''

TINY = '''\
from tykky import PipStack, variant


class Tiny(PipStack):
    """Two small packages, one of them with a command."""

    homepage = "https://pypi.org/project/tabulate"
    license = "MIT"
    versions = "1.0"
    packages = "tabulate==0.9.0", "six==1.17.0"
    commands = "python*", "pip*", "tabulate"

    def test(self, box):
        box.run("tabulate --help")
'''


_OTHERS = "/usr/local/lib/tykky-dev"
#: What makes "module" a command of each module system; see "tools/provision modules".
MODULES = {
    "Lmod 8.6": f". {LMOD}",
    "Lmod of sid": f"LMOD_CMD=$(echo {_OTHERS}/lmod/usr/share/lmod/[0-9]*/libexec/lmod)\n"
    "export LMOD_CMD\n"
    'module() { eval "$(lua5.3 $LMOD_CMD bash "$@")"; }',
    "Environment Modules": f"EM=$(echo {_OTHERS}/environment-modules/usr/lib/*/modulecmd.tcl)\n"
    'module() { eval "$(tclsh $EM bash "$@")"; }',
}
#: The beginning of a recipe of any kind.
HEAD = """\
from tykky import ContainerStack, DiskStack, PipStack


class Wrapped({kind}):
    '''Programs of an image.'''

    homepage = "https://example.org"
    license = "MIT"
    versions = "1"
"""


@dataclass(frozen=True)
class Site(Tykky):
    """The program, run by a user whose first recipe repository is ``repo``."""

    repo: Path

    def write(self, name: str, text: str) -> Path:
        """Write a whole recipe and return its file."""
        folder = self.repo / name
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "recipe.py"
        file.write_text(dedent(text), encoding="utf-8")
        return file

    def hello(self, name: str = "hello", *versions: str, more: str = "") -> Path:
        """Write a ``Hello`` recipe; ``more`` are further lines of its class."""
        text = HELLO.format(versions=", ".join(map(repr, versions or ("1.0",))))
        return self.write(name, text + "\n" + indent(dedent(more), "    "))

    def hooks(self, text: str) -> Path:
        """Write a hooks file, to be given with ``-c hooks=FILE``."""
        file = self.repo.parent / "hooks.py"
        file.write_text(dedent(text), encoding="utf-8")
        return file

    def with_env(self, **env: str) -> Site:
        """The same program with more in its environment."""
        return replace(self, user=User(self.user.home, {**self.user.env, **env}))

    def found(self, *spec: str) -> list[dict[str, Any]]:
        """What ``tykky find`` lists; nothing found is no failure here."""
        answer = self.json("find", *spec, status=None)
        assert isinstance(answer, list)
        return answer

    def prefix(self, *spec: str) -> Path:
        """The prefix of the one install that ``tykky find SPEC`` lists."""
        (entry,) = self.found(*spec)
        return Path(entry["prefix"])

    def generation(self, *spec: str) -> Path:
        """The folder of the current generation of the one install that ``tykky find`` lists."""
        return (self.prefix(*spec) / ".tykky/current").resolve()

    def record(self, *spec: str) -> dict[str, Any]:
        """The record of that generation."""
        record = json.loads((self.generation(*spec) / "record.json").read_text())
        assert isinstance(record, dict)
        return record

    def images(self, *spec: str) -> list[Path]:
        """The images of all generations of the one install that ``tykky find`` lists."""
        return sorted((self.prefix(*spec) / ".tykky/images").iterdir())

    def lmod(self, script: str, **options: Any) -> CompletedProcess[str]:
        """Run a bash script in which Lmod knows the site's modules; it stops at a failure."""
        start = f'set +e; . {LMOD}; module use "{self.modules}"; set -e\n'
        return self.user.bash(start + dedent(script), **options)

    def modules_of(self, system: str, script: str, **options: Any) -> CompletedProcess[str]:
        """Run a bash script in which another module system knows the site's modules."""
        return self.user.bash(
            f'{MODULES[system]}\nmodule use "{self.modules}"\n{script}', **options
        )

    @property
    def modules(self) -> Path:
        """The directory of the modulefiles."""
        return self.root / "modules"

    def modulefiles(self) -> list[str]:
        """The names of all modulefiles, without the marks of the default versions."""
        return sorted(
            str(path.relative_to(self.modules)) for path in self.modules.glob("*/[!.]*.lua")
        )


def recipe(site: Site, body: str, name: str = "wrapped", kind: str = "ContainerStack") -> None:
    """Write a recipe of a class of one ``kind``; ``body`` are the lines after its first ones."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    site.write(name, HEAD.format(kind=kind) + lines)


def settle(place: Path, user: User) -> Site:
    """A site for ``user``, with an empty repository in ``place``."""
    repo = place / "repo"
    repo.mkdir()
    # A checkout has no compiled launcher: it is compiled once, and not for every test.
    compiled = DOWNLOADS / "launcher"
    compiled.mkdir(mode=0o700, parents=True, exist_ok=True)
    cache = user.home / ".cache"
    cache.mkdir(parents=True)
    (cache / "tykky-programs").symlink_to(compiled)
    env = {**user.env, "TYKKY_REPOS": str(repo)}
    return Site(User(user.home, env), repo)


def as_of_old(folder: Path) -> None:
    """Let the packages of a generation be noted as a Tykky did that knew less of them."""
    path, record = folder / "packages.json", folder / "record.json"
    known = ("name", "version", "build", "channel", "license")
    rows = [
        {name: row[name] for name in known if name in row}
        for row in json.loads(path.read_text())
        if row.get("why") != "base"
    ]
    facts = json.loads(record.read_text())
    if rows:
        path.write_text(json.dumps(rows))
        facts["notes"][path.name] = note(path)
    else:
        path.unlink()
        del facts["notes"][path.name]
    record.write_text(json.dumps(facts))
    state.renote(Place(folder.parents[2]), record, Permissions())


def listing(folder: Path) -> list[str]:
    """Everything below a folder, as sorted relative paths; nothing if it is not there."""
    found = []
    for where, folders, files in os.walk(folder):
        found += [str(Path(where, name).relative_to(folder)) for name in (*folders, *files)]
    return sorted(found)
