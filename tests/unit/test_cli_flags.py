"""Settings on the command line: before the verb, after it, and after its action."""

from __future__ import annotations

import pytest

from tykky.cli import main


def output(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 0
    return capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    "words",
    [
        ("-c", "squash.level=7", "config", "get", "squash.level"),
        ("config", "-c", "squash.level=7", "get", "squash.level"),
        ("config", "get", "squash.level", "-c", "squash.level=7"),
        ("-c", "squash.level=5", "config", "get", "squash.level", "-c", "squash.level=7"),
    ],
)
def test_setting_counts_wherever_it_stands(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert output(capsys, *words) == "7"


def test_settings_before_and_after_the_verb_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("-c", "module_path={root}/mods", "module", "path", "--root", "/some/where")
    assert output(capsys, *words) == "/some/where/mods"


def test_setting_without_a_value_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", "squash.level", "find"]) == 2
    assert "-c wants KEY=VALUE, not 'squash.level'" in capsys.readouterr().err
