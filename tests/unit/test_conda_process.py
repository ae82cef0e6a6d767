"""The engine is judged by what it wrote, however its process ended."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import serve
from tykky.conda.process import perform
from tykky.config import Config
from tykky.errors import Exit, StepError, ToolError


@dataclass(frozen=True)
class Shell:
    """A scene where a script of the shell is the engine; ``$1`` is the file for the result."""

    script: str
    tmp: Path

    @property
    def config(self) -> Config:
        return Config.load({"timeout": "1"}, {"HOME": str(self.tmp)})

    def line(
        self, argv: Sequence[str], seen: Sequence[Path], cache: Path | None
    ) -> tuple[list[str], dict[str, str]]:
        job = self.tmp / Path(argv[-1]).parent.name
        return ["sh", "-c", self.script, "sh", str(job / "result.json")], {"PATH": "/usr/bin:/bin"}

    def note(self, said: bytes) -> None:
        pass


def answer(result: object) -> str:
    return f"echo '{json.dumps(result)}' > $1; "


def test_a_crash_after_the_answer_is_no_failure(tmp_path: Path) -> None:
    scene = Shell(answer({"packages": []}) + "kill -SEGV $$", tmp_path)
    assert perform({"do": "solve"}, scene) == {"packages": []}


def test_an_end_without_an_answer_is_a_failure_whatever_the_status(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="without an answer") as caught:
        perform({"do": "solve"}, Shell("echo words of it; exit 0", tmp_path))
    assert caught.value.details == ("words of it",)
    with pytest.raises(StepError, match="without an answer"):
        perform({"do": "solve"}, Shell("echo '{' > $1", tmp_path))


def test_an_engine_that_is_not_installed_is_named(tmp_path: Path) -> None:
    script = "echo \"ModuleNotFoundError: No module named 'rattler'\"; exit 1"
    with pytest.raises(ToolError, match="py-rattler") as caught:
        perform({"do": "solve"}, Shell(script, tmp_path))
    assert caught.value.code == Exit.MISSING_TOOL


def test_nothing_of_a_job_is_left(tmp_path: Path) -> None:
    perform({"do": "solve"}, Shell(answer({"done": []}), tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("problem", "code", "words"),
    [
        ({"kind": "spec", "text": "bad", "spec": "a >="}, Exit.RESOLVE, "'a >='"),
        ({"kind": "install", "text": "No space left on device (os error 28)"}, 20, "no space"),
        ({"kind": "channel", "text": "EOF while parsing", "channel": "u"}, Exit.DAMAGED, "read"),
        ({"kind": "channel", "text": "dns error", "channel": "u"}, Exit.NETWORK, "reached"),
        ({"kind": "other", "text": "unheard of"}, Exit.BUILD, "cannot be made"),
    ],
)
def test_a_refusal_has_a_code_and_words(
    tmp_path: Path, problem: dict[str, str], code: int, words: str
) -> None:
    with pytest.raises(StepError) as caught:
        perform({"do": "solve", "channels": ["u"]}, Shell(answer({"error": problem}), tmp_path))
    assert caught.value.code == code
    assert words in str(caught.value)


def test_a_channel_that_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/c"
        with pytest.raises(StepError, match=f"the channel {url} does not answer") as caught:
            perform({"do": "solve", "channels": [url]}, Shell("exec sleep 1000", tmp_path))
    assert caught.value.code == Exit.NETWORK


def test_a_job_that_takes_long_is_waited_for_if_the_channels_answer(tmp_path: Path) -> None:
    with serve() as web:
        job = {"do": "solve", "channels": [f"{web.address}/c"]}
        result = perform(job, Shell("sleep 2; " + answer({"packages": []}), tmp_path))
    assert result == {"packages": []}
