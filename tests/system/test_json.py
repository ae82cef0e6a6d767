"""The one envelope in which every verb answers programs, also when it fails."""

from __future__ import annotations

import json

import pytest

from tests.stacks import Site
from tykky.errors import Exit

KEYS = ["version", "verb", "status", "code", "result", "errors"]


@pytest.mark.parametrize(
    "words",
    [
        *("find", "info hello", "history hello/1.0", "verify", "diff hello/1.0 hello/0.9", "list"),
        *("install --plan hello", "refresh --check hello/1.0", "gc --dry-run", "reindex"),
        *("config", "base list", "doctor"),
    ],
)
def test_an_answer_is_in_an_envelope(installed: Site, words: str) -> None:
    answer = installed.envelope(*words.split())
    assert list(answer) == KEYS
    assert answer["version"] == 1
    assert answer["verb"] == words.split()[0]
    assert (answer["status"], answer["code"], answer["errors"]) == ("ok", 0, [])
    assert answer["result"] is not None


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("install helo", Exit.SPEC),
        ("history nothing", Exit.NOT_FOUND),
        ("rollback hello/1.0", Exit.NOT_FOUND),
        ("find -c rot=/x", Exit.CONFIG),
        ("refresh hello/1.0 --all", Exit.USAGE),
    ],
)
def test_a_failure_is_in_an_envelope_and_said(installed: Site, words: str, code: Exit) -> None:
    done = installed(*words.split(), "--json", status=int(code))
    answer = json.loads(done.stdout)
    assert list(answer) == KEYS
    assert (answer["status"], answer["code"], answer["result"]) == ("failed", code, None)
    (error,) = answer["errors"]
    assert error["code"] == code
    assert error["cause"] in done.stderr
    assert error["remedy"] in done.stderr


def test_a_recipe_that_fails_is_told_with_its_place_and_log(site: Site) -> None:
    file = site.hello(more="def test(self, box):\n    box.run('echo why; false')")
    (error,) = site.envelope("install", "hello", status=int(Exit.TEST))["errors"]
    assert error["where"].startswith(f"{file}:")
    assert any("why" in line for line in error["details"])
    assert any("the whole log: " in line for line in error["details"])
