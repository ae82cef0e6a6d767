from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tykky.build.hooks import Hooks
from tykky.errors import ConfigError, Exit, StepError

STEPS = ("build", "squash")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hooks.py"


def write(file: Path, text: str) -> Path:
    file.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return file


def failure(file: Path, text: str, call: str = "") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        Hooks(write(file, text), STEPS).call(call, None)
    assert caught.value.code is Exit.CONFIG
    return caught.value


def test_without_a_file_nothing_is_called() -> None:
    Hooks(None, STEPS).call("before_build", None)


def test_function_is_given_the_build(file: Path) -> None:
    told: list[str] = []
    Hooks(write(file, "def before_build(build): build.append('it')"), STEPS).call(
        "before_build", told
    )
    Hooks(file, STEPS).call("after_build", told)
    assert told == ["it"]


def test_helpers_and_imports_are_no_hooks(file: Path) -> None:
    text = """
        import os
        from pathlib import Path
        LIMIT = 5
        def helper(): return LIMIT
        def after_squash(build): build.append(helper())
    """
    told: list[int] = []
    Hooks(write(file, text), STEPS).call("after_squash", told)
    assert told == [5]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("before_squahs", "before_squash"), ("after_nothing", "build, squash"), ("before_", "build")],
)
def test_hook_of_no_step_is_answered_with_a_suggestion(file: Path, name: str, hint: str) -> None:
    error = failure(file, f"def {name}(build): pass")
    assert f"'{name}'" in error.cause
    assert hint in error.remedy


def test_failing_hook_is_answered_with_its_own_innermost_line(file: Path) -> None:
    text = """
        import json

        def helper():
            return json.loads("{")  # line 4

        def before_build(build):
            helper()
    """
    error = failure(file, text, "before_build")
    assert "JSONDecodeError" in error.cause
    assert error.where is not None
    assert (error.where.path, error.where.line) == (file, 4)
    assert "line 4" in str(error.where)


def test_failing_file_is_answered_with_its_line(file: Path) -> None:
    error = failure(file, "x = 1\nraise RuntimeError('not today')\n")
    assert "not today" in error.cause
    assert error.where is not None
    assert error.where.line == 2


@pytest.mark.parametrize(
    ("text", "line"), [("x = 1\ndef before_build(build)\n", 2), ("def f():\nx = 1\n", 2)]
)
def test_file_that_is_no_python_is_answered_with_its_line(file: Path, text: str, line: int) -> None:
    error = failure(file, text)
    assert "not valid Python" in error.cause
    assert error.where is not None
    assert error.where.line == line


def test_file_of_odd_bytes_is_answered(file: Path) -> None:
    file.write_bytes(b"x = '\xff'\n")
    with pytest.raises(ConfigError):
        Hooks(file, STEPS)
    file.write_bytes(b"x = '\x00'\n")
    with pytest.raises(ConfigError):
        Hooks(file, STEPS)


def test_file_that_cannot_be_read_is_answered(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.py", tmp_path):
        with pytest.raises(ConfigError) as caught:
            Hooks(path, STEPS)
        assert str(path) in caught.value.cause


def test_file_that_exits_is_answered(file: Path) -> None:
    error = failure(file, "import sys\nsys.exit(3)\n")
    assert "SystemExit" in error.cause


def test_hook_that_is_no_function_is_answered(file: Path) -> None:
    error = failure(file, "before_build = 5\n", "before_build")
    assert "before_build" in error.cause


def test_hook_may_raise_an_error_for_people(file: Path) -> None:
    text = """
        from tykky.errors import StepError

        def before_build(build):
            raise StepError("the quota of the project is used up", remedy="ask for more")
    """
    with pytest.raises(StepError, match="quota"):
        Hooks(write(file, text), STEPS).call("before_build", None)
