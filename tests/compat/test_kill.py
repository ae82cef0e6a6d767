"""The classic commands are killed before each operation that changes an installation.

The operations are found by doing the same once; see ``tests/system/saboteur.c``. Of those that are
alike (the same for each command, say, or on a generation without its number, which nobody can see
yet), the first and the last are points of their own.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.classic import Classic
from tests.compat import old
from tests.stacks import listing
from tests.support import SPOILT, User, remove
from tests.system.sabotage import settings
from tests.system.wholeness import LITTER

pytestmark = pytest.mark.slow

#: What makes operations on different files alike.
_ALIKE = (
    (r".*/\.tykky/generations/new-\w+/.*", "hidden"),
    (r"/bin/\.\S+\.new", "/bin/NEW"),
    (r"/bin/\w[^/ ]*", "/bin/NAME"),
    (r"\.?\b(_bin|share|lib|lib64|common\.sh|img\.sqfs|pyvenv\.cfg)\b", "NAME"),
    (r"\b[0-9a-f]{8,}\b", "X"),
)
#: A temporary name is removed before it is made, if it is there.
_NOTHING = r"unlink \S*(NEW|NAME\.new|/\.current\.X)|link \S+ \S*/bin/NEW"


def points_of(operations: list[str]) -> dict[int, str]:
    """The operations to be killed before, by their numbers from 1."""
    kinds: dict[str, list[int]] = {}
    for number, line in enumerate(operations, 1):
        kind = line
        for pattern, word in _ALIKE:
            kind = re.sub(pattern, word, kind)
        if not re.fullmatch(_NOTHING, kind):
            kinds.setdefault(kind, []).append(number)
    chosen = {number for numbers in kinds.values() for number in (numbers[0], numbers[-1])}
    return {number: operations[number - 1] for number in sorted(chosen)}


@dataclass(frozen=True)
class Scene:
    """One prefix of somebody who has a store and a place for builds for it alone."""

    classic: Classic
    prefix: Path

    def killed(self, script: str, **how: int | str) -> int:
        """Run a script in bash, killed where it is said; its status."""
        env = {**self.classic.user.env, **settings(self.prefix, signal=9, **how)}
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-ec", f"exec {script}"],
            env=env,
            cwd=self.classic.home,
            capture_output=True,
            start_new_session=True,
            timeout=300,
            check=False,
        ).returncode

    def says(self, command: str) -> str:
        """What a command of the installation prints."""
        return self.classic.says(f"{self.prefix}/bin/{command}")

    def assert_no_litter(self) -> None:
        """Nothing temporary is left, neither at the prefix nor of builds."""
        self.classic.sh("tykky gc --days 0")
        assert [path for path in listing(self.prefix) if re.search(LITTER, path)] == []
        assert listing(Path(self.classic.user.env["TMPDIR"])) == []


def kill_everywhere(
    classic: Classic,
    prepare: Callable[[Path], None],
    script: str,
    check: Callable[[Scene], None],
) -> None:
    """Kill a script before each operation on ``$prefix``, which is prepared anew each time."""

    def prepared(name: str) -> Scene:
        place, prefix = classic.place / name, classic.home / name
        (place / "tmp").mkdir(parents=True)
        env = {
            **classic.user.env,
            "TMPDIR": str(place / "tmp"),
            "TYKKY_ROOT": str(place / "t"),
            "prefix": str(prefix),
        }
        prepare(prefix)
        return Scene(replace(classic, user=User(classic.home, env)), prefix)

    log = classic.place / "operations"
    assert prepared("count").killed(script, log=log) == 0
    points = points_of(log.read_text().splitlines())
    assert len(points) > 10
    SPOILT["kills"] += len(points)

    def stop(at: int) -> str:
        scene = prepared(f"s{at}")
        try:
            assert scene.killed(script, at=at) == -signal.SIGKILL
            check(scene)
        except (AssertionError, pytest.fail.Exception) as error:
            return f"killed before {at}: {points[at]}:\n{error}"
        finally:
            remove(scene.prefix)
        return ""

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = [answer for answer in pool.map(stop, points) if answer]
    assert not wrong, f"{len(wrong)} of {len(points)} points\n" + "\n\n".join(wrong)


def assert_whole(scene: Scene) -> None:
    """What makes an installation is there, and each of its commands starts."""
    for name in ("common.sh", "img.sqfs", "share/conf.yaml", "share/VERSION.yml"):
        assert (scene.prefix / name).is_file(), name
    commands = {path.name for path in (scene.prefix / "bin").iterdir() if path.name[0] != "."}
    assert commands >= {path.name for path in (scene.prefix / "_bin").iterdir()}
    assert scene.says("_debug_exec echo entered") == "entered"


def test_a_first_installation_killed_anywhere_is_whole_or_none(classic: Classic) -> None:
    classic.sh("mkdir -p t/bin; printf '#!/bin/sh\\necho yes\\n' > t/bin/tool; chmod +x t/bin/tool")
    wrap = "wrap-install -w bin --prefix $prefix t"

    def check(scene: Scene) -> None:
        if (scene.prefix / ".tykky/current").exists():
            assert_whole(scene)
            assert scene.says("tool") == "yes"
        scene.classic.sh(wrap)
        assert_whole(scene)
        assert scene.says("tool") == "yes"
        assert scene.classic.says("tykky find --format '{prefix}'") == str(scene.prefix)
        scene.assert_no_litter()

    kill_everywhere(classic, lambda prefix: None, wrap, check)


@pytest.fixture(scope="module")
def small(settled: Classic) -> Path:
    """A Python environment with hardly anything in it."""
    settled.write("small.txt", "six==1.17.0\n")
    settled.write("small.sh", "rm -r $env_root/lib/python3.*/site-packages/{pip,setuptools}*\n")
    settled.sh("pip-containerize new --prefix ~/small --post small.sh small.txt")
    return settled.home / "small"


def test_an_update_killed_anywhere_leaves_the_old_state_or_the_new(
    classic: Classic, small: Path
) -> None:
    classic.write("post.sh", "echo new > $env_root/state; cp /bin/true $env_root/bin/added\n")
    update = "pip-containerize update --post-install post.sh $prefix"

    def check(scene: Scene) -> None:
        state = scene.says("_debug_exec sh -c 'cat $env_root/state 2>/dev/null || echo old'")
        assert_whole(scene)
        assert scene.says("python -c 'import six; print(six.__version__)'") == "1.17.0"
        if state == "new":
            scene.says("added")
        scene.classic.sh(update)
        assert scene.says("_debug_exec sh -c 'cat $env_root/state'") == "new"
        assert_whole(scene)
        scene.says("added")
        scene.assert_no_litter()

    def prepare(prefix: Path) -> None:
        subprocess.run(["cp", "-a", small, prefix], check=True)

    kill_everywhere(classic, prepare, update, check)


def test_an_update_of_an_old_installation_killed_anywhere_leaves_commands_that_work(
    classic: Classic, small: Path
) -> None:
    """Each is the old wrapper, with all that it reads, or a launcher with a current generation."""
    folder = classic.place / "contents"
    classic.sh(f"unsquashfs -q -n -d {folder} {small}/img.sqfs")
    inside = classic.says(f"{small}/bin/_debug_exec sh -c 'echo $install_root'")
    made = classic.home / "made"
    old.make(made, folder, "0.5", "venv", inside, "env1")
    update = "pip-containerize update $prefix"

    def check(scene: Scene) -> None:
        commands = [path for path in (scene.prefix / "bin").iterdir() if path.name[0] != "."]
        wrappers = {p.name for p in commands if p.read_bytes().startswith(b"#!/bin/bash")}
        assert {path.name for path in commands} >= {"python", "python3"}
        if wrappers:
            for name in ("common.sh", "img.sqfs", "container.sif"):
                assert (scene.prefix / name).is_file(), name
            text = (scene.prefix / "common.sh").read_text()
            assert "SQFS_IMAGE=img.sqfs" in text and "CONTAINER_IMAGE=container.sif" in text
        for name in {"python", "python3"} - wrappers:
            scene.says(f"{name} --help")
        scene.classic.sh(update)
        scene.says("python -c 'import six'")
        assert scene.says("_debug_exec sh -c 'echo $FROM_BEFORE'") == "kept"
        assert_whole(scene)
        assert not (scene.prefix / "container.sif").exists()
        scene.assert_no_litter()

    def prepare(prefix: Path) -> None:
        subprocess.run(["cp", "-a", made, prefix], check=True)

    kill_everywhere(classic, prepare, update, check)
