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
from tykky.store import Place, Store

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


def digests(plan: Plan) -> tuple[str, str]:
    return plan.build, plan.publish


def test_the_same_inputs_give_the_same_digests(make: Make) -> None:
    assert digests(make()) == digests(make())


@pytest.mark.parametrize(
    "change",
    [
        ("    commands", "    # A comment.\n    commands"),
        ('license = "MIT"', "license = 'MIT'  # free"),
        ("\n\n\nclass", "\n\n\n\n\nclass"),
    ],
)
def test_what_nobody_runs_or_sees_does_not_count(make: Make, change: tuple[str, str]) -> None:
    assert digests(make(change)) == digests(make())


@pytest.mark.parametrize(
    "change",
    [
        ('"""Says hello."""', '"""Greets."""'),
        ('license = "MIT"', 'license = "BSD"'),
        ("https://hello.example", "https://hello.org"),
        ('commands = "hello"', 'commands = "hell*"'),
        *(
            ('license = "MIT"', f'license = "MIT"\n    {field}')
            for field in (
                'env = {"A": "1"}',
                'setenv = {"A": "1"}',
                'loads = "gcc"',
                'family = "python"',
                'deprecated = "use another"',
                'maintainers = "staff"',
                'isolation = "closed"',
                'runtime = "apptainer"',
                'binds = "/scratch"',
            )
        ),
    ],
)
def test_what_is_only_seen_changes_no_contents(make: Make, change: tuple[str, str]) -> None:
    before, after = make(), make(change)
    assert after.build == before.build
    assert after.publish != before.publish


@pytest.mark.parametrize(
    "change",
    [
        ("hello world", "hello you"),
        ("#!/bin/sh", "#!/bin/bash"),
        ('commands = "hello"', 'commands = {"hi": "hello"}'),
    ],
)
def test_what_is_run_counts(make: Make, change: tuple[str, str]) -> None:
    assert make(change).build != make().build


def test_offering_a_command_by_its_path_changes_the_contents(make: Make) -> None:
    """Such a command is linked into the image."""
    other = make(('commands = "hello"', 'commands = "bin/hello"'))
    assert other.build != make().build


def test_files_beside_the_recipe_count_but_locks_do_not(make: Make, tmp_path: Path) -> None:
    before = make()
    folder = tmp_path / "repo/hello"
    (folder / "locks").mkdir()
    (folder / "locks/0.9-x86_64.json").write_text("{}")
    (folder / ".swp").write_text("an editor's own")
    assert make().build == before.build
    (folder / "data.txt").write_text("1")
    first = make()
    (folder / "data.txt").write_text("2")
    assert len({before.build, first.build, make().build}) == 3


def test_version_and_choices_count(make: Make) -> None:
    specs = ["hello", "hello@0.9", "hello +big", "hello size=large", "hello +big size=large"]
    made = [make(IMPORT, spec=spec, more=VARIANTS) for spec in specs]
    assert len({plan.build for plan in made}) == len(specs)
    assert [plan.module for plan in made] == [
        *("hello/1.0", "hello/0.9", "hello/1.0-big", "hello/1.0-large", "hello/1.0-big-large")
    ]
    same = [make(IMPORT, spec=spec, more=VARIANTS) for spec in ("hello ~big", "hello size=small")]
    assert {digests(plan) for plan in same} == {digests(made[0])}


def test_another_version_beside_it_changes_neither_digest(make: Make) -> None:
    change = ('"1.0", "0.9"', '"1.0", "0.9", "0.8"')
    assert digests(make(change)) == digests(make())


def test_place_of_the_repository_does_not_count(make: Make) -> None:
    assert digests(make(repo="elsewhere")) == digests(make())


def test_place_and_module_are_named_after_the_version_alone(make: Make, config: Config) -> None:
    plan = make(spec="hello@0.9")
    assert plan.prefix == config.root / "store/hello/0.9"
    assert plan.module == "hello/0.9"
    large = make(IMPORT, spec="hello size=large", more=VARIANTS)
    assert large.prefix == config.root / "store/hello/1.0-large"


def test_planning_writes_nothing(make: Make, config: Config) -> None:
    plans.rehearse(make(), config)
    assert not config.root.exists()
    assert not config.build_dir.exists()


def test_rehearsal_runs_the_recipes_own_steps(make: Make, config: Config) -> None:
    plan = make()
    steps = dict(plans.rehearse(plan, config))
    assert list(steps) == [
        *("resolve", "base", "build", "finish", "squash", "test", "commit", "publish")
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
def test_prefix_that_cannot_work_is_refused(make: Make, prefix: str, says: str) -> None:
    plan = replace(make(), place=Place(Path(prefix)))
    with pytest.raises(TykkyError) as caught:
        plans.check(plan)
    assert says in caught.value.cause
    assert caught.value.code is Exit.PATH_TOO_LONG
