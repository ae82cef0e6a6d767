from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tykky.cli import VERBS, build_parser, main
from tykky.errors import Exit
from tykky.resources import resource

ALL = [verb for group in VERBS.values() for verb in group]


def output(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tykky", *words], text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_names_every_verb_in_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    text = capsys.readouterr().out
    for group, verbs in VERBS.items():
        assert f"{group.lower()}:" in text
        for verb, line in verbs.items():
            assert re.search(rf"^  {verb} +{re.escape(line)}$", text, re.M)


@pytest.mark.parametrize("verb", ALL)
def test_every_verb_explains_itself_with_examples(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "-h"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "examples:\n" in text
    assert f"tykky {verb}" in text.split("examples:\n")[1]
    assert all(len(line) <= 100 for line in text.splitlines())


@pytest.mark.parametrize("verb", ALL)
def test_every_example_is_understood(verb: str) -> None:
    import importlib
    import shlex

    parser = build_parser()
    for line in importlib.import_module(f"tykky.cli.{verb}").EXAMPLES.splitlines():
        command = re.split(r" {2,}|&&|;|\)| >", line.strip())[0]
        words = shlex.split(command.replace('"$(', ""))
        if words[:1] != ["tykky"]:
            continue
        try:
            parser.parse_args(words[1:])
        except SystemExit:
            pytest.fail(f"'{command}' is not understood")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from tykky.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'yaml', 'jinja2', 'rich', 'requests', 'filelock', 'uv', 'shtab', 'packaging'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_misspelt_verb_is_answered_with_the_one_that_was_meant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["-c", "jobs=1", "instal", "x"]) == Exit.USAGE
    assert "did you mean 'install'?" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["help", "base", "pull"], ["base", "pull", "--help"], ["help"]])
def test_help_is_a_verb_too(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(words)
    shown = "usage: tykky base pull [-h]" if "base" in words else "usage: tykky [-h]"
    assert capsys.readouterr().out.startswith(shown)


@pytest.mark.parametrize("words", [["--nope"], ["find", "--nope"], ["-c"], ["--root"]])
def test_wrong_usage_ends_with_two(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == Exit.USAGE
    assert "tykky: error: " in capsys.readouterr().err


def test_wrong_usage_has_an_envelope(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["find", "--nope", "--json"], ["finf", "--json"], ["install", "--json"]):
        assert main(words) == Exit.USAGE
        assert json.loads(capsys.readouterr().out)["errors"][0]["code"] == Exit.USAGE


def answer(*words: str, status: int, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The envelope that the program answers with, when it ends with ``status``."""
    assert main([*words, "--json"]) == status
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["version", "verb", "status", "code", "result", "errors"]
    assert (found["version"], found["verb"], found["code"]) == (1, words[0], status)
    assert isinstance(found["errors"], list)
    return dict(found)


def test_envelope_of_what_was_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer("find", "--root", str(tmp_path), status=0, capsys=capsys)
    assert (found["status"], found["result"], found["errors"]) == ("ok", [], [])


def test_envelope_of_a_failure_has_cause_remedy_and_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["history", "--root", str(tmp_path), "nothing"]
    found = answer(*words, status=Exit.NOT_FOUND, capsys=capsys)
    assert (found["status"], found["result"]) == ("failed", None)
    (error,) = found["errors"]
    assert error["cause"] == f"'nothing' is not installed in {tmp_path}"
    assert "tykky find" in error["remedy"]
    assert (error["code"], error["where"], error["details"]) == (6, "", [])


def test_envelope_of_a_wrong_configuration_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("jobs: 1\nrooot: /x\n")
    monkeypatch.setenv("TYKKY_SITE_CONFIG", str(file))
    found = answer("find", status=Exit.CONFIG, capsys=capsys)
    assert found["errors"][0]["where"] == f"{file}:2"


def test_envelope_of_an_error_of_the_system(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x")

    monkeypatch.setattr("tykky.cli.find.run", full)
    found = answer("find", "--root", str(tmp_path), status=Exit.NO_SPACE, capsys=capsys)
    assert "No space left" in found["errors"][0]["cause"]


def test_envelope_tells_what_was_done_of_several_and_what_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["install", "--root", str(tmp_path), "--keep-going", "no-such-a", "no-such-b"]
    found = answer(*words, status=Exit.SPEC, capsys=capsys)
    assert [each["did"] for each in found["result"]] == ["failed", "failed"]
    assert ["no-such-a" in found["errors"][0]["cause"], len(found["errors"])] == [True, 2]


def test_every_exit_code_is_documented() -> None:
    text = (resource("share") / "doc/reference/exit-codes.md").read_text()
    rows = dict(re.findall(r"^\| (\d+) \| (\w+) \|", text, re.M))
    assert rows == {str(int(code)): code.name for code in Exit}


def test_verbs_are_in_the_changelog_or_help_in_one_line_each() -> None:
    for verbs in VERBS.values():
        for line in verbs.values():
            assert line[0].islower()
            assert not line.endswith(".")
            assert len(line) < 70
