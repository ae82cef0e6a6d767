from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.stacks import HELLO
from tykky.build import plan as plans
from tykky.build.plan import Plan
from tykky.config import Config
from tykky.errors import Exit, TykkyError
from tykky.repos import Repos
from tykky.spec import parse_one
from tykky.store import Store

Make = Callable[..., Plan]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    flags = {"root": str(tmp_path / "t"), "build_dir": str(tmp_path / "b")}
    return Config.load(flags, {"HOME": str(tmp_path)})


@pytest.fixture
def make(tmp_path: Path, config: Config) -> Make:
    """The plan for a ``Hello`` recipe with changes in its text."""

    def make(
        *changes: tuple[str, str], spec: str = "hello", more: str = "", repo: str = "repo"
    ) -> Plan:
        text = HELLO.format(versions='"1.0", "0.9"') + more
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        file = tmp_path / repo / "hello/recipe.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        repos = Repos([tmp_path / repo])
        return plans.make(parse_one([spec]), config, repos, Store.of(config), lambda _: None)

    return make


VARIANTS = '\n    big = variant(False)\n    size = variant("small", "large")\n'
IMPORT = ("from tykky.kinds", "from tykky import variant\nfrom tykky.kinds")


def test_the_same_inputs_give_the_same_hash(make: Make) -> None:
    assert make().hash == make().hash


@pytest.mark.parametrize(
    "change",
    [
        ('"""Says hello."""', '"""Greets."""'),
        ("    commands", "    # A comment.\n    commands"),
        ('license = "MIT"', "license = 'MIT'  # free"),
        ("\n\n\nclass", "\n\n\n\n\nclass"),
    ],
)
def test_what_nobody_runs_does_not_count(make: Make, change: tuple[str, str]) -> None:
    assert make(change).hash == make().hash


@pytest.mark.parametrize(
    "change",
    [
        ("hello world", "hello you"),
        ('commands = "hello"', 'commands = "hell*"'),
        ("#!/bin/sh", "#!/bin/bash"),
        ('license = "MIT"', 'license = "MIT"\n    env = {"A": "1"}'),
    ],
)
def test_what_is_run_counts(make: Make, change: tuple[str, str]) -> None:
    assert make(change).hash != make().hash


def test_version_and_choices_count(make: Make) -> None:
    specs = ["hello", "hello@0.9", "hello +big", "hello size=large", "hello +big size=large"]
    made = [make(IMPORT, spec=spec, more=VARIANTS) for spec in specs]
    assert len({plan.hash for plan in made}) == len(specs)
    assert [plan.module for plan in made] == [
        *("hello/1.0", "hello/0.9", "hello/1.0-big", "hello/1.0-large", "hello/1.0-big-large")
    ]
    same = [make(IMPORT, spec=spec, more=VARIANTS) for spec in ("hello ~big", "hello size=small")]
    assert {plan.hash for plan in same} == {made[0].hash}


def test_place_of_the_repository_does_not_count(make: Make) -> None:
    assert make(repo="elsewhere").hash == make().hash


def test_prefix_and_module_are_named_after_version_and_hash(make: Make, config: Config) -> None:
    plan = make(spec="hello@0.9")
    assert plan.prefix == config.root / "store/hello" / f"0.9-{plan.hash[:8]}"
    assert plan.module_file == config.module_path / "hello/0.9.lua"
    assert plan.title == f"hello/0.9 ({plan.hash[:8]})"


def test_planning_writes_nothing(make: Make, config: Config) -> None:
    plans.rehearse(make(), config)
    assert not config.root.exists()
    assert not config.build_dir.exists()


def test_rehearsal_runs_the_recipes_own_steps(make: Make, config: Config) -> None:
    plan = make()
    steps = dict(plans.rehearse(plan, config))
    assert list(steps) == [
        *("resolve", "base", "build", "finish", "squash", "test", "commit", "module")
    ]
    assert steps["build"][0] == f"write  {plan.prefix}/bin/hello"
    assert steps["test"] == ["run    hello world"]


def test_rehearsal_refuses_what_the_build_would_refuse(make: Make, config: Config) -> None:
    plan = make(('box.write("bin/hello"', 'box.write("../../bin/hello"'))
    with pytest.raises(TykkyError, match="below its prefix"):
        plans.rehearse(plan, config)


@pytest.mark.parametrize(
    ("prefix", "says"), [("/a:b/c", "colon"), ("/a\udcffb", "text that every program")]
)
def test_prefix_that_cannot_work_is_refused(
    make: Make, config: Config, prefix: str, says: str
) -> None:
    plan = replace(make(), prefix=Path(prefix))
    with pytest.raises(TykkyError) as caught:
        plans.check(plan, config, Store.of(config))
    assert says in caught.value.cause
    assert caught.value.code is Exit.PATH_TOO_LONG
