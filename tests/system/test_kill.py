"""An install or uninstall that dies between any two of its steps leaves nothing half done."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.launcher.stacks import OURS, command_lines, wait_for
from tests.stacks import Site, listing
from tests.support import SPOILT
from tests.system.wholeness import assert_no_litter, assert_nothing_is_half_done, assert_whole

STEPS = ("build", "finish", "squash", "test", "commit", "publish")
POINTS = [f"{when}_{step}" for step in STEPS for when in ("before", "after")]
COMMITTED = ("after_commit", "before_publish", "after_publish")

KILL = """
    import os, signal

    def {point}(build):
        os.killpg(0, signal.SIGKILL)
"""
STOP = """
    import os, signal

    def {point}(build):
        os.kill(os.getpid(), signal.{signal})
        # The signal is handled between two lines of Python.
        for _ in range(1000):
            pass
"""


def processes_of(place: Path) -> list[str]:
    """The command lines of all processes that name something below ``place``.

    The servers of mounted images may outlive the commands that started them.
    """
    return [
        line
        for pid, line in command_lines()
        if f"{place}/" in line and not line.startswith(OURS) and pid != os.getpid()
    ]


@pytest.mark.parametrize("point", POINTS)
def test_install_killed_at_a_step_leaves_nothing_and_can_be_repeated(
    site: Site, point: str
) -> None:
    site.hello()
    hooks = site.hooks(KILL.format(point=point))
    killed = site.start("install", "hello", "-c", f"hooks={hooks}")
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    SPOILT["kills"] += 1
    if point not in COMMITTED:
        assert site.found() == []
    if point != "after_publish":
        assert site.modulefiles() == []
    assert_nothing_is_half_done(site)
    assert processes_of(site.root.parent) == []
    site("install", "hello")
    assert_whole(site)
    site("gc", "--days", "0")
    assert listing(Path(site.user.env["TYKKY_BUILD_DIR"])) == [], "no log is left, either"


@pytest.mark.parametrize(
    ("point", "name", "status"),
    [
        ("before_build", "SIGTERM", 143),
        ("after_finish", "SIGTERM", 143),
        ("after_squash", "SIGINT", 130),
        ("before_test", "SIGHUP", 143),
        ("before_commit", "SIGINT", 130),
    ],
)
def test_install_stopped_by_a_signal_cleans_up_and_says_what_is_left(
    site: Site, point: str, name: str, status: int
) -> None:
    site.hello()
    hooks = site.hooks(STOP.format(point=point, signal=name))
    done = site("install", "hello", "-c", f"hooks={hooks}", status=status)
    assert "nothing was installed" in done.stderr.lower()
    assert "Traceback" not in done.stderr
    log = re.search(r"log: (\S+)", done.stderr, re.I)
    assert log is not None
    assert Path(log[1]).exists()
    assert site.found() == []
    assert listing(site.root / "store") == []
    assert site.modulefiles() == []
    assert_no_litter(site)
    site("install", "hello")
    assert_whole(site)


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_install_stopped_after_its_commit_keeps_the_install(
    site: Site, name: str, status: int
) -> None:
    site.hello()
    hooks = site.hooks(STOP.format(point="before_publish", signal=name))
    done = site("install", "hello", "-c", f"hooks={hooks}", status=status)
    assert "nothing was installed" not in done.stderr.lower()
    assert "hello/1.0#1 is built" in done.stderr
    assert site.found() == []
    assert site.json("install", "hello")[0]["did"] == "switched", "nothing is built again"
    assert_whole(site)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("group", [True, False], ids=["group", "alone"])
@pytest.mark.parametrize("step", ["finish", "test"])
def test_signal_in_the_middle_of_a_step_ends_all_that_the_step_started(
    site: Site, number: signal.Signals, group: bool, step: str
) -> None:
    seconds = 100_000 + os.getpid()  # by which they are told from what other tests start
    site.hello(
        more=f"""
        def {step}(self, box):
            # The first ignores what it can; the second is what the step waits for.
            box.run(
                "(trap '' TERM INT HUP; exec sleep {seconds}) & exec sleep {seconds}"
            )
        """
    )
    process = site.start("install", "hello")
    try:
        while len(sleepers(seconds)) < 2 and process.poll() is None:
            time.sleep(0.02)
        assert process.poll() is None, process.communicate()
        started = sleepers(seconds)
        if group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, err = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    expected = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    assert process.returncode == expected, err
    assert "Traceback" not in err
    assert len(started) == 2
    assert wait_for(lambda: not started & sleepers(seconds))
    assert site.found() == []
    site.hello()
    site("install", "hello")
    assert_whole(site)


def sleepers(seconds: int) -> set[int]:
    """The processes that sleep for so long."""
    return {pid for pid, line in command_lines() if line.split() == ["sleep", str(seconds)]}
