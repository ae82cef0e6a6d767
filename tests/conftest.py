"""What every test may use: a directory with a short path, a user, the installed program.

And installations by the classic commands that no test may change: ``settled`` has ``pip`` and
``conda``.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.classic import conda, pip, settled  # noqa: F401
from tests.support import SPOILT, Tykky, User, log_in, new_place, remove

# A job in the background of a script ignores Ctrl-C, and so would all programs under test.
for each in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(each) is signal.SIG_IGN:
        signal.signal(each, signal.default_int_handler)


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty directory on local disk with a short path, removed afterwards.

    Set TYKKY_TEST_KEEP to look at it later.
    """
    path = new_place()
    yield path
    if not os.environ.get("TYKKY_TEST_KEEP"):
        remove(path)


@pytest.fixture
def user(place: Path) -> User:
    """A user with an empty home, whose store would be at ``<place>/t``."""
    if not (Path(sys.executable).parent / "tykky").exists():
        pytest.fail(f"tykky is not installed beside {sys.executable}; use `make test`")
    return log_in(place)


@pytest.fixture
def tykky(user: User) -> Tykky:
    """The program, run by ``user``."""
    return Tykky(user)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let workers begin with the files that take longest, so that none is at work alone for long.

    Each takes a whole file at a time.
    """
    if hasattr(config, "workerinput"):
        slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: (-slow[item.path], "unit" in item.path.parts))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a worker tell what it has counted to the process that started it."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["spoilt"] = SPOILT


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what a worker has counted."""
    for what, count in getattr(node, "workeroutput", {}).get("spoilt", {}).items():
        SPOILT[what] += count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how often the suite has stopped a verb, or spoilt its disk, in the middle."""
    if any(SPOILT.values()):
        told = ", ".join(f"{count} {what}" for what, count in SPOILT.items())
        terminalreporter.write_line(f"in the middle of a change: {told}")
