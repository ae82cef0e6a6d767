"""What was done with a stack, by whom, when, and what changed in it."""

from __future__ import annotations

import getpass

from tests.stacks import TINY, Site


def test_history_tells_of_every_generation_and_what_was_done(site: Site) -> None:
    site.hello()
    site("install", "hello")
    site("install", "--force", "hello")
    site("rollback", "hello", "--reason", "it was better")
    site("refresh", "hello", "--isolation", "mounts")
    answer = site.json("history", "hello")
    assert answer["module"] == "hello/1.0"
    told = [(event["verb"], event["before"], event["generation"]) for event in answer["events"]]
    assert told == [("install", 0, 1), ("install", 1, 2), ("rollback", 2, 1), ("refresh", 1, 3)]
    assert answer["events"][2]["why"] == "it was better"
    assert {event["user"] for event in answer["events"]} == {getpass.getuser()}
    assert [each["current"] for each in answer["generations"]] == [False, False, True]
    table = site("history", "hello").stdout
    assert "rollback (it was better)" in table
    assert [line.split()[0] for line in table.splitlines() if "#3" in line] == ["=>"]


def test_history_tells_which_packages_changed(site: Site) -> None:
    site.write("tiny", TINY)
    site("install", "tiny")
    site("install", "--force", "tiny")
    site.write("tiny", TINY.replace("six==1.17.0", "six==1.16.0"))
    site("install", "tiny")
    first, second, third = site.json("history", "tiny")["generations"]
    assert first["changes"] == ""
    assert second["changes"] == "the same contents"
    assert "six" in third["changes"]
    assert "1.16.0" in third["changes"]
    said = site.json("diff", "tiny#1", "tiny#3")
    assert said["changed"] == {"six": ["1.17.0", "1.16.0"]}
    assert "six==1.17.0" in site("log", "tiny#1").stdout
    assert "six==1.17.0" not in site("log", "tiny#3").stdout


def test_history_is_told_also_if_the_file_of_it_is_lost(site: Site) -> None:
    site.hello()
    site("install", "hello")
    site("install", "--force", "hello")
    (site.prefix() / ".tykky/state.json").write_text("{")
    answer = site.json("history", "hello")
    assert answer["events"] == []
    assert [each["generation"] for each in answer["generations"]] == [1, 2]
    site("rollback", "hello")
    assert site.json("history", "hello")["events"][-1]["verb"] == "rollback"
