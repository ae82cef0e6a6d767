"""The catalogue: what a change costs in a site of ten thousand installs, and a search in a page."""

from __future__ import annotations

import itertools
import os
import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Row, Runner, Target, race
from tests import generated
from tests.browser import Page, browser
from tests.support import Tykky

#: Names, versions of each, packages of each: a centre's, and a very large one's.
SITES = {"400 installs": (400, 1, 300), "10,000 installs": (1000, 10, 100)}
_ROUNDS = 30
#: What somebody types, from its first letter on; until all is shown, also where it is.
_SEARCH = """(() => {
  const input = document.getElementById("q"), started = performance.now();
  input.value = %r;
  input.dispatchEvent(new Event("input"));
  document.body.offsetHeight;
  return performance.now() - started;
})()"""
_TYPED = ("p", "pa", "package-7", "num", "python-data", "python-data/26.1", "zzz")


def measure(tykky: Tykky, place: Path) -> Iterator[Row]:
    """Making all, then after a change; and searching, in pages with few and with many installs."""
    found: dict[str, list[float]] = {}
    for case, size in SITES.items():
        root, output = place / f"root{size[0]}", place / f"pages{size[0]}"
        state = generated.fill(root, *size)[0] / ".tykky/state.json"
        words = ["tykky", "--root", root, "catalog", "--output"]
        anew = (place / f"anew{size[0]}-{number}" for number in itertools.count())
        first = Runner([*words, next(anew)], tykky.user.env).seconds()
        Runner([*words, output], tykky.user.env).seconds()
        runners = {
            "after a change": Runner(
                [*words, output], tykky.user.env, before=lambda state=state: os.utime(state)
            ),
            "nothing has changed": Runner([*words, output], tykky.user.env),
        }
        times = race(runners, budget=20, fewest=3)
        yield times.row("catalog", f"{case}, a change", *runners, "nothing has changed")
        yield Row(
            "catalog", f"{case}, the first time", first, "a change", times.median("after a change")
        )
        with browser(place / f"browser{size[0]}") as page:
            found[case] = [*_searches(page, output)]
    few, many = (statistics.median(each) for each in found.values())
    names, target = [*SITES], Target("value", 0.05)
    yield Row("catalog", f"search, {names[1]}", many, names[0], few, _ROUNDS, target=target)
    slowest, peer = max(found[names[1]]), max(found[names[0]])
    yield Row("catalog", "search, the slowest", slowest, names[0], peer, _ROUNDS, target=target)


def _searches(page: Page, output: Path) -> Iterator[float]:
    """The seconds of searches in a start page, from the letter that is typed to what is seen."""
    page.see()
    page.go(output.as_uri() + "/index.html")
    page.wait("document.querySelector('#search').checkVisibility()")
    for _ in range(_ROUNDS):
        for text in _TYPED:
            yield page.value(_SEARCH % text) / 1000
