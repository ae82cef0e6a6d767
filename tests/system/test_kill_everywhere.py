"""The program is stopped before every single operation on its store, one after the other.

The operations are found by running the verb once; see ``saboteur.c``.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.stacks import Site, listing
from tests.support import SPOILT, remove
from tests.system.sabotage import sabotaged
from tests.system.wholeness import assert_no_litter, assert_nothing_is_half_done, assert_whole


def operations(site: Site, *verb: str) -> dict[int, str]:
    """The operations of a verb on the store, by their number.

    Of those on what nobody can see yet, a generation without a number, only the first and the
    last are worth a stop of their own.
    """
    log = site.root.parent / f"operations-{time.monotonic_ns()}"
    sabotaged(site, signal.SIGKILL, log=log)(*verb)
    every = dict(enumerate(log.read_text().splitlines(), 1))
    hidden = [number for number, line in every.items() if "/generations/new-" in line]
    return {n: line for n, line in every.items() if n not in hidden[1:-2]}


def another_store(site: Site, name: str) -> Site:
    """The same user and recipes with another, empty store."""
    place = site.root.parent
    return site.with_env(TYKKY_ROOT=str(place / name), TYKKY_BUILD_DIR=str(place / f"build-{name}"))


def kept(site: Site) -> Path:
    """What the root of a store is made of again."""
    return site.root.with_name(f"kept-{site.root.name}")


def renew(site: Site) -> None:
    """Give a store and its place for builds the state that was prepared."""
    remove(site.root)
    remove(Path(site.user.env["TYKKY_BUILD_DIR"]))
    if kept(site).exists():
        site.user.run("cp", "-a", kept(site), site.root)


def stop_everywhere(
    site: Site,
    number: signal.Signals,
    verb: list[str],
    *,
    prepare: list[list[str]],
    check: Callable[[Site, int], None],
    every: int = 1,
) -> None:
    """Send a signal before each operation of ``tykky VERB``, in the same prepared store each time.

    Or only before one of ``every`` so many, or as TYKKY_TEST_EVERY says if that is more often.

    ``check`` is given the store, with the operation's number as STOPPED_AT in the environment, and
    the exit status; all its complaints fail the test.
    """
    lanes: SimpleQueue[Site] = SimpleQueue()
    for lane in range(os.cpu_count() or 1):
        here = another_store(site, f"lane-{lane}")
        for arguments in prepare:
            here(*arguments)
        if prepare:
            here.root.rename(kept(here))
        lanes.put(here)

    renew(here)
    todo = operations(here, *verb)
    assert len(todo) > 4
    every = min(every, int(os.environ.get("TYKKY_TEST_EVERY", every)))
    chosen = [*todo][::every]

    def stop(at: int) -> str:
        here = lanes.get()
        try:
            renew(here)
            process = sabotaged(here, number, at=at).start(*verb)
            _, said = process.communicate(timeout=100)
            assert "Traceback" not in said
            check(here.with_env(STOPPED_AT=str(at)), process.returncode)
        except (AssertionError, pytest.fail.Exception) as error:
            return f"stopped before {todo[at]}:\n{said}\n{error}"
        finally:
            lanes.put(here)
        return ""

    SPOILT["kills"] += len(chosen)
    with ThreadPoolExecutor(lanes.qsize()) as pool:
        wrong = [answer for answer in pool.map(stop, chosen) if answer]
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.slow
def test_install_killed_anywhere_leaves_other_versions_as_they_were_and_can_be_repeated(
    site: Site,
) -> None:
    site.hello("hello", "2.0", "1.0")

    def check(here: Site, status: int) -> None:
        assert status == -signal.SIGKILL
        assert_nothing_is_half_done(here)
        said = here.lmod("module load hello/1.0; hello; module load hello; hello").stdout
        assert said in ("hello 1.0\nhello 1.0\n", "hello 1.0\nhello 2.0\n")
        here("install", "hello@2.0")
        assert here.lmod("module load hello; hello").stdout == "hello 2.0\n"
        here("gc")
        assert_no_litter(here)
        here("verify")

    stop_everywhere(
        site,
        signal.SIGKILL,
        ["install", "hello@2.0"],
        prepare=[["install", "hello@1.0"]],
        check=check,
    )


@pytest.mark.slow
def test_install_terminated_anywhere_leaves_a_whole_install_or_none(site: Site) -> None:
    site.hello()

    def check(here: Site, status: int) -> None:
        assert status == 143
        assert_nothing_is_half_done(here)
        if not here.found():
            left = [path for path in listing(here.root) if re.search("(generations|images)/", path)]
            assert left == [] or "store/hello/1.0/.tykky/generations/1" in left
            assert here.modulefiles() == []
        assert_no_litter(here)
        here("install", "hello")
        assert_whole(here)

    stop_everywhere(site, signal.SIGTERM, ["install", "hello"], prepare=[], check=check)


@pytest.mark.slow
def test_relocate_killed_anywhere_leaves_a_whole_install_or_none(site: Site) -> None:
    site.hello()
    there = another_store(site, "there")
    there("install", "hello")
    verb = ["relocate", str(there.root / "store/hello/1.0")]

    def check(here: Site, status: int) -> None:
        assert status == -signal.SIGKILL
        assert_nothing_is_half_done(here)
        here(*verb)
        assert_whole(here)
        here("gc", "--days", "0")
        assert_no_litter(here)

    stop_everywhere(site, signal.SIGKILL, verb, prepare=[], check=check, every=7)
    there("verify")


@pytest.mark.slow
def test_uninstall_killed_anywhere_leaves_other_versions_as_they_were_and_can_be_repeated(
    site: Site,
) -> None:
    site.hello("hello", "2.0", "1.0")

    def check(here: Site, status: int) -> None:
        assert status == -signal.SIGKILL
        # The one that stays is not disturbed, whatever is left of the other one.
        assert here.lmod("module load hello; hello").stdout.startswith("hello ")
        whole = (here.root / "store/hello/2.0/.tykky/current").is_symlink()
        assert whole or here.modulefiles() == ["hello/1.0.lua"]
        if here.user.env["STOPPED_AT"][-1] in "0369":  # each finishes what was begun
            here("uninstall", "hello/2.0", status=None)
        elif here.user.env["STOPPED_AT"][-1] in "147":
            here("uninstall", "--undo", "hello/2.0", status=None)
            here("refresh", "hello/2.0")
            assert here.lmod("module load hello/2.0; hello").stdout == "hello 2.0\n"
            here("verify")
            return
        here("gc", "--days", "0")
        assert whole or here("verify")
        here("uninstall", "hello/2.0", status=None)
        assert [entry["module"] for entry in here.found()] == ["hello/1.0"]
        assert here.modulefiles() == ["hello/1.0.lua"]
        assert here.lmod("module load hello; hello").stdout == "hello 1.0\n"
        here("install", "hello@2.0")
        assert here.lmod("module load hello; hello").stdout == "hello 2.0\n"

    stop_everywhere(
        site,
        signal.SIGKILL,
        ["uninstall", "hello/2.0"],
        prepare=[["install", "hello@1.0", "hello@2.0"]],
        check=check,
    )


@pytest.mark.slow
def test_undoing_an_uninstall_killed_anywhere_loses_nothing_and_can_be_repeated(
    site: Site,
) -> None:
    site.hello()

    def check(here: Site, status: int) -> None:
        assert status == -signal.SIGKILL
        if here.user.env["STOPPED_AT"][-1] in "02468":  # takes it for an uninstall that was killed
            here("gc")
        here("uninstall", "--undo", "hello", status=None)
        assert here.lmod("module load hello; hello").stdout == "hello 1.0\n"
        assert_whole(here)
        here("verify")
        here("gc", "--days", "0")
        assert listing(here.root / "trash") == []

    stop_everywhere(
        site,
        signal.SIGKILL,
        ["uninstall", "--undo", "hello"],
        prepare=[["install", "hello"], ["uninstall", "hello"]],
        check=check,
        every=3,
    )


CHANGES = {
    "install": (["install", "--force", "hello"], 1, {1, 2}),
    "refresh": (["refresh", "hello", "--isolation", "mounts"], 1, {1, 2}),
    "rollback": (["rollback", "hello", "--to", "1"], 2, {1, 2}),
    "update": (["-c", "repos={newer}", "update", "hello"], 1, {1, 2}),
    "one generation": (["uninstall", "hello#1"], 2, {2}),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_killed_anywhere_leaves_one_generation_or_the_other(
    site: Site, change: str
) -> None:
    words, generations, possible = CHANGES[change]
    newer = replace(site, repo=site.repo.with_name("newer"))
    newer.hello(more="def finish(self, box):\n    box.write('more', 'more')")
    verb = [word.format(newer=newer.repo) for word in words]
    site.hello()

    def check(here: Site, status: int) -> None:
        assert status == -signal.SIGKILL
        assert here.lmod("module load hello; hello").stdout == "hello 1.0\n"
        (generation,) = here.json("info", "hello")["installed"]
        assert current(here) in possible
        assert set(generation["generations"]) >= {current(here)}
        here(*verb, status=None if "#" in verb[-1] else 0)
        assert_whole(here)
        here("gc", "--days", "0")
        assert_no_litter(here)
        here("verify")
        folder = here.root / "store/hello/1.0/.tykky/generations"
        assert [path.name for path in folder.iterdir()] == [str(current(here))]
        assert len(here.images("hello")) == 1

    prepare = [["install", "hello"], ["install", "--force", "hello"]][:generations]
    stop_everywhere(site, signal.SIGKILL, verb, prepare=prepare, check=check)


#: Words, what is done before, and the marks of both versions before and after.
DECISIONS = {
    "default": ("default hello/1.0", "default hello/2.0", "=default", "default="),
    "hide --undo": ("hide --undo hello/1.0", "hide hello/1.0", "hidden=", "="),
    "deprecate": ("deprecate hello/1.0 --use hello/2.0", "hide hello/2.0", "=hidden", None),
    "retire --undo": ("retire --undo hello/1.0", "retire hello/1.0", "retired=", "="),
    "hold": ("hold hello/1.0#1", "hide hello/2.0", "=hidden", "held#1=hidden"),
    "retire": ("retire hello/1.0", "hold hello/1.0", "held=", "held retired="),
}


@pytest.mark.slow
@pytest.mark.parametrize("decision", DECISIONS)
def test_a_decision_killed_anywhere_is_made_or_not_and_can_be_repeated(
    site: Site, decision: str
) -> None:
    words, first, old, new = DECISIONS[decision]
    site.hello("hello", "1.0", "2.0")

    def marks(here: Site) -> str:
        return "=".join(" ".join(sorted(entry["marks"])) for entry in here.found())

    def check(here: Site, status: int) -> None:
        assert status == -signal.SIGKILL
        # In between, both are the default by hand, and the latest counts.
        assert marks(here) in (old, new or "deprecated=hidden", "default=default")
        assert here.lmod("module load hello/2.0; hello").stdout == "hello 2.0\n"
        # What is done already to the end is not there to be taken back.
        here(*words.split(), status=None if decision == "retire --undo" else 0)
        assert marks(here) == (new or "deprecated=hidden")
        assert_no_litter(here)
        here("verify")

    prepare = [["install", "hello@1.0", "hello@2.0"], first.split()]
    stop_everywhere(site, signal.SIGKILL, words.split(), prepare=prepare, check=check)


def current(site: Site) -> int:
    """The number of the generation that commands use."""
    return int((site.root / "store/hello/1.0/.tykky/current").readlink().name)
