"""The program is stopped before every single operation on its store, one after the other.

The operations are found by running the verb once; see ``saboteur/sitecustomize.py``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.stacks import Site, listing
from tests.system.sabotage import sabotaged
from tests.system.wholeness import assert_no_litter, assert_nothing_is_half_done, assert_whole


def operations(site: Site, *verb: str) -> dict[int, str]:
    """The operations of a verb on the store, by their number.

    Of those on what nobody can see yet, the files of an install without its record, only the
    first and the last are worth a stop of their own.
    """
    log = site.root.parent / f"operations-{time.monotonic_ns()}"
    sabotaged(site, signal.SIGKILL, log=log)(*verb)
    every = dict(enumerate(log.read_text().splitlines(), 1))
    hidden = [number for number, line in every.items() if "/.tykky/" in line]
    return {n: line for n, line in every.items() if n not in hidden[1:-1] or "record" in line}


def another_store(site: Site, name: str) -> Site:
    """The same user and recipes with another, empty store."""
    place = site.root.parent
    return site.with_env(TYKKY_ROOT=str(place / name), TYKKY_BUILD_DIR=str(place / f"build-{name}"))


def stop_everywhere(
    site: Site,
    number: signal.Signals,
    verb: list[str],
    *,
    prepare: list[list[str]],
    check: Callable[[Site, int], None],
) -> None:
    """Send a signal before each operation of ``tykky VERB``, in a new store each time.

    ``check`` is given the store and the exit status; all its complaints fail the test.
    """

    def prepared(name: str) -> Site:
        here = another_store(site, name)
        for arguments in prepare:
            here(*arguments)
        return here

    todo = operations(prepared("count"), *verb)
    assert len(todo) > 5

    def stop(at: int) -> str:
        here = prepared(f"s{at}")
        process = sabotaged(here, number, at=at).start(*verb)
        _, said = process.communicate(timeout=100)
        try:
            assert "Traceback" not in said
            check(here, process.returncode)
        except (AssertionError, pytest.fail.Exception) as error:
            return f"stopped before {todo[at]}:\n{said}\n{error}"
        return ""

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = [answer for answer in pool.map(stop, todo) if answer]
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
        assert_no_litter(here)

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
            assert listing(here.root / "store") == []
            assert here.modulefiles() == []
        assert_no_litter(here)
        here("install", "hello")
        assert_whole(here)

    stop_everywhere(site, signal.SIGTERM, ["install", "hello"], prepare=[], check=check)


@pytest.mark.slow
def test_uninstall_killed_anywhere_leaves_other_versions_as_they_were_and_can_be_repeated(
    site: Site,
) -> None:
    site.hello("hello", "2.0", "1.0")

    def check(here: Site, status: int) -> None:
        assert status == -signal.SIGKILL
        assert_nothing_is_half_done(here)
        # The one that stays is not disturbed, whatever is left of the other one.
        assert here.lmod("module load hello; hello").stdout.startswith("hello ")
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
