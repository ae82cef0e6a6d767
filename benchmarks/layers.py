"""Updates that are layers, against building all of it anew in the same run."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.measure import Row, Target
from tests.support import Tykky, User
from tykky.resources import resource
from tykky.store import Place

RECIPE = """
from tykky import PipStack

class Grow(PipStack):
    \"\"\"Numbers, and what is added.\"\"\"

    homepage = "https://numpy.org"
    license = "BSD-3-Clause"
    versions = "1"
    packages = ("numpy", "scipy"{more})
"""
#: Pure packages that need nothing else; one is added in each round.
ADDED = ("humanize", "inflection", "termcolor")


def measure(tykky: Tykky, place: Path) -> Iterator[Row]:
    """One package more: in a small recipe, in ``python-data``, by the classic commands."""
    repo = place / "repo"
    env = {"TYKKY_ROOT": str(place / "l"), "TYKKY_REPOS": f"{repo}:{resource('repo')}"}
    tykky = replace(tykky, user=User(tykky.user.home, {**tykky.user.env, **env}))
    small = repo / "grow/recipe.py"
    small.parent.mkdir(parents=True)
    small.write_text(RECIPE.format(more=""))
    yield from _updates(tykky, "grow", small, RECIPE, "numpy and scipy", 1.5)
    large = repo / "python-data/recipe.py"
    shutil.copytree(Path(str(resource("repo"))) / "python-data", large.parent)
    shutil.rmtree(large.parent / "locks", ignore_errors=True)
    text = large.read_text().replace("{", "{{").replace("}", "}}")
    line = '        yield "ipython"\n'
    text = text.replace(line, line + "{more}")
    yield from _updates(tykky, "python-data", large, text, "python-data", 4)
    seconds = [_seconds(tykky, "tykky", "extend", "python-data", name) for name in ADDED]
    yield Row("layers", "extend python-data", median(seconds), rounds=3, target=Target("value", 4))
    yield from _classic(tykky, place)


def _updates(
    tykky: Tykky, name: str, recipe: Path, text: str, what: str, limit: float
) -> Iterator[Row]:
    """The same update as a layer, and whole; and what the layer has, against the wheel."""
    tykky("install", name)
    layered: list[float] = []
    whole: list[float] = []
    tests: list[float] = []
    sizes: list[int] = []
    for each in ADDED:
        more = f', "{each}"' if name == "grow" else f'        yield "{each}"\n'
        recipe.write_text(text.replace("{more}", more).replace("{{", "{").replace("}}", "}"))
        layered.append(_seconds(tykky, "tykky", "install", name))
        (entry,) = tykky.json("find", name)
        record = Place(Path(entry["prefix"])).record()
        assert len(record.images) == 2, "it is no layer"
        sizes.append(record.images[-1]["bytes"])
        tests.append(sum(step.seconds for step in record.steps if step.name == "test"))
        if each == ADDED[0]:
            whole.append(_seconds(tykky, "tykky", "install", "--force", name))
        tykky("rollback", name, "--to", "1")
    yield Row(
        *("layers", f"{what}, one package more", median(layered)),
        peer="built whole",
        peer_value=median(whole),
        rounds=len(layered),
    )
    yield Row(
        *("layers", f"{what}, all but the recipe's test"),
        median(taken - test for taken, test in zip(layered, tests, strict=True)),
        rounds=len(layered),
        target=Target("value", limit),
    )
    yield Row("layers", f"{what}, bytes of the layer", median(sizes), rounds=3, unit="B")


def _classic(tykky: Tykky, place: Path) -> Iterator[Row]:
    user, program = tykky.user, Path(sys.executable).with_name("pip-containerize")
    (user.home / "data.txt").write_text("numpy\nscipy\npandas\nmatplotlib\nscikit-learn\n")
    layered: list[float] = []
    whole: list[float] = []
    user.run(program, "new", "--prefix", place / "cl", "data.txt")
    for each in ADDED:
        (user.home / "one.txt").write_text(f"{each}\n")
        words = (program, "update", "-r", "one.txt")
        copy = place / f"cl-{each}"
        shutil.copytree(place / "cl", copy, symlinks=True)
        layered.append(_seconds(tykky, *words, copy))
        shutil.rmtree(copy)
        shutil.copytree(place / "cl", copy, symlinks=True)
        whole.append(_seconds(tykky, *words, copy, env={"TYKKY_LAYERS_MOST": "0"}))
        shutil.rmtree(copy)
    yield Row(
        *("layers", "classic update, one package more", median(layered)),
        peer="unpacked and squashed",
        peer_value=median(whole),
        rounds=len(layered),
        target=Target("value", 4),
    )


def _seconds(tykky: Tykky, *words: str | Path, env: dict[str, str] | None = None) -> float:
    started = time.perf_counter()
    tykky.user.run(*words, env=env)
    return time.perf_counter() - started
