"""From environments before and after activation to the changes that explain them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tykky.conda.activation import Person, applied, compare, set_by_files, was
from tykky.runtime.base import EnvAction, EnvChange


def explained(script: str, *names: str) -> list[tuple[str, str, str]]:
    """The changes that a script of bash makes, as triples; ``names`` are set beforehand."""

    def after(person: Person, preset: Mapping[str, str]) -> dict[str, str]:
        env = {"PATH": "/usr/bin:/bin", **person.variables, **preset}
        line = ["bash", "--noprofile", "--norc", "-c", f"{script}\nexec env -0"]
        said = subprocess.run(line, env=env, capture_output=True, check=True).stdout.decode()
        pairs = (item.partition("=") for item in said.split("\0") if item)
        ours = {*person.variables, "PATH", "PWD", "SHLVL", "_", "OLDPWD"}
        return {k: person.template(v) for k, _, v in pairs if k not in ours}

    one, other = Person("a", "/home/tykky-a"), Person("b", "/home/tykky-b")
    dropped: list[str] = []
    first = after(one, {})
    names = (*names, *first)
    third = after(one, {name: was(name) for name in names})
    found = [
        (change.action.value, change.name, change.value)
        for change in compare(first, after(other, {}), third, names, dropped.append)
    ]
    return found + [("dropped", name, "") for name in dropped]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("export A=1", [("set", "A", "1")]),
        ("export A=", [("set", "A", "")]),
        ("A=1", []),
        ("unset A", [("unset", "A", "")]),
        ("export A=${A:-1}", [("default", "A", "1")]),
        ("export A=/n${A:+:$A}", [("prepend", "A", "/n")]),
        ("export A=${A:+$A:}/n", [("append", "A", "/n")]),
        ("export A=/n:${A:-/d:/e}", [("default", "A", "/d:/e"), ("prepend", "A", "/n")]),
        ("export A=/n:$A:/m", [("prepend", "A", "/n"), ("append", "A", "/m")]),
        ('[ -z "$A" ] || export A=/n:$A', [("prepend", "A", "/n")]),
        ('export A="-O2 $A"', [("expand", "A", "-O2 ${A}")]),
        ("export A=$HOME/x", [("expand", "A", "${HOME}/x")]),
        ('export A="$USER@$HOSTNAME:$TMPDIR"', [("expand", "A", "${USER}@${HOSTNAME}:${TMPDIR}")]),
        ("export A='$HOME'", [("set", "A", "$HOME")]),
        ("export A='$HOME in '$HOME", [("expand", "A", "$$HOME in ${HOME}")]),
        ("export A=$$", [("dropped", "A", "")]),
        ("export A=$'two\\nlines'", [("dropped", "A", "")]),
        ("f() { :; }; export -f f", []),
        ('[ -z "$A" ] || export _OLD_A=$A; export A=1', [("set", "A", "1")]),
    ],
)
def test_changes_explain_what_a_script_does(
    script: str, expected: list[tuple[str, str, str]]
) -> None:
    assert explained(script, "A") == expected


def test_changes_give_the_same_environment_as_the_script() -> None:
    changes = (
        EnvChange(EnvAction.DEFAULT, "DIRS", "/usr/share"),
        EnvChange(EnvAction.PREPEND, "DIRS", "/p/share"),
        EnvChange(EnvAction.EXPAND, "A", "${HOME}/x $$1 ${NOBODY}"),
        EnvChange(EnvAction.UNSET, "GONE"),
        EnvChange(EnvAction.INSERT, "PATH", "/p/bin"),
    )
    before = {"HOME": "/h", "GONE": "1", "PATH": "/v/bin:/p/bin:/bin"}
    assert applied(changes, before) == {
        "HOME": "/h",
        "DIRS": "/p/share:/usr/share",
        "A": "/h/x $1 ",
        "PATH": "/v/bin:/p/bin:/bin",
    }


def test_what_a_user_has_taken_back_is_not_set(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "etc/conda/env_vars.d").mkdir(parents=True)
    package = {"ONE": "package", "TWO": "package", "THREE": "package", "BAD-NAME": "x"}
    (tmp_path / "etc/conda/env_vars.d/a.json").write_text(json.dumps(package))
    state = {"env_vars": {"ONE": "mine", "TWO": "***unset***"}}
    (tmp_path / "conda-meta/state").write_text(json.dumps(state))
    assert set_by_files(tmp_path) == {"ONE": "mine", "THREE": "package"}
