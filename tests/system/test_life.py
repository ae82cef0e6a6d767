"""The life of versions over the years, as staff decide it and users see it."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.launcher.stacks import wait_for
from tests.stacks import MODULES, TINY, Site
from tests.system.test_launcher_slurm import is_over, slurm_runs, submit
from tykky.errors import Exit

#: What prints what a user of a module system sees, and only that.
_LOOK = "module -t avail hello 2>&1 | grep hello/ | sed 's/[(< ].*//' | sort"


def on_a_terminal(site: Site, system: str, script: str) -> str:
    """What a user sees of a bash script in a terminal, in one line."""
    file = site.user.home / "typed.sh"
    file.write_text(f'{MODULES[system]}\nmodule use "{site.modules}"\n{script}\n')
    typed = f"COLUMNS=200 LMOD_PAGER=none bash --noprofile --norc {file}"
    done = site.user.run("script", "-qec", typed, "/dev/null", stdin=subprocess.DEVNULL)
    return " ".join(done.stdout.split())


@pytest.mark.parametrize("system", MODULES)
def test_each_module_system_shows_what_was_decided(site: Site, system: str) -> None:
    site("config", "set", "module.format", "both")
    site.hello("hello", "1.0", "2.0")
    site("install", "--testing", "hello@2.0")

    def sees(script: str) -> str:
        return site.modules_of(system, script, stderr=subprocess.STDOUT, status=None).stdout

    def listed() -> list[str]:
        return sees(_LOOK).split()

    def means(load: str = "hello") -> str:
        return sees(f"module load {load}; hello").strip()

    assert (listed(), means("hello/2.0")) == ([], "hello 2.0")  # also where there is no other
    site("install", "hello@1.0")
    assert (listed(), means(), means("hello/2.0")) == (["hello/1.0"], "hello 1.0", "hello 2.0")
    site("hide", "--undo", "hello/2.0")
    assert (listed(), means()) == (["hello/1.0", "hello/2.0"], "hello 1.0")  # the recipe's first
    site("default", "hello/2.0")
    assert means() == "hello 2.0"
    site("default", "--undo", "hello")
    assert means() == "hello 1.0"
    words = 'a "reason"; $HOME [exit] {'
    until = time.strftime("%Y-%m-%d", time.localtime(time.time() + 9 * 86400))
    site("deprecate", "hello/1.0", "--until", until, "--use", "hello/2.0", "--reason", words)
    assert (means(), means("hello/1.0")) == ("hello 2.0", "hello 1.0")  # nothing else is said
    said = on_a_terminal(site, system, "module load hello/1.0; hello")
    assert f"{until} on: {words}; use hello/2.0" in said
    assert "hello 1.0" in said
    # Its day comes, and nobody does anything.
    for path in (site.modules / "hello").iterdir():
        path.write_text(path.read_text().replace(until, "2026-01-01"))
    assert f"since 2026-01-01: {words}; use hello/2.0" in " ".join(means("hello/1.0").split())
    assert means("hello/2.0") == "hello 2.0"
    site("retire", "hello/1.0", "--use", "hello/2.0", "--reason", words)
    assert (listed(), means()) == (["hello/2.0"], "hello 2.0")
    assert f": {words}; use hello/2.0" in " ".join(means("hello/1.0").split())
    pinned = "module load hello; echo $TYKKY_PINS; module unload hello; echo =$TYKKY_PINS="
    assert sees(pinned).split() == [f"{site.root}/store/hello/2.0=1", "=="]


@pytest.mark.slow
@pytest.mark.skipif(not slurm_runs(), reason="no Slurm runs on this machine")
def test_two_versions_live_and_die_while_jobs_run(
    site: Site, place: Path, request: pytest.FixtureRequest
) -> None:
    site.hello("hello", "1.0", "2.0")
    site("install", "hello@1.0")
    site("install", "hello@2.0")
    site("default", "hello/1.0", "--reason", "known to be good")
    site("deprecate", "hello/1.0", "--until", "2999-01-01", "--use", "hello/2.0")
    table = site("find", "hello").stdout
    assert "default, deprecated until 2999-01-01" in table
    assert "known to be good" in site("info", "hello").stdout
    # A job has loaded it; under it, the stack gets a new generation, goes back, and is retired.
    go = place / "go"
    script = f"""
        . /usr/share/lmod/lmod/init/bash; module use {site.modules}; module load hello
        hello first; touch {place}/loaded
        until [ -e {go} ]; do sleep 0.1; done
        hello second; hello third | cat
    """
    job = submit(
        place, f"export PATH={site.user.env['PATH']}:$PATH HOME={site.user.home}\n{script}", "job"
    )
    request.addfinalizer(lambda: subprocess.run(["scancel", job], check=False))
    assert wait_for(lambda: (place / "loaded").exists(), 60)
    site.hello("hello", "1.0", "2.0", more="keywords = 'more'")
    site("install", "--force", "hello@1.0")
    site("rollback", "hello/1.0", "--reason", "it was worse")
    site("hold", "hello/1.0#2")
    site("retire", "hello/1.0", "--use", "hello/2.0")
    assert "retired" in site("find", "hello@1.0").stdout
    site("gc")
    go.touch()
    assert wait_for(lambda: is_over(job), 60)
    said = (place / "job.out").read_text().splitlines()
    assert said == ["hello 1.0 first", "hello 1.0 second", "hello 1.0 third"]
    # Who comes now is told, on every way.
    tombstone = site.lmod("module load hello/1.0", status=None).stderr
    assert "was retired on" in tombstone
    assert "use hello/2.0" in tombstone
    assert site.lmod("module load hello; hello").stdout == "hello 2.0\n"
    assert "use hello/2.0" in site("info", "hello").stdout
    assert "is held" in site("gc", "--days", "0").stderr
    assert "nobody can load it" in site("install", "hello@1.0").stderr
    site("hold", "--undo", "hello/1.0#2")
    site("gc", "--days", "0")
    assert not list((site.root / "trash").iterdir())
    assert [entry["module"] for entry in site.found()] == ["hello/2.0"]
    site("verify")
    done = [event["verb"] for event in site.json("history", "--last", "0")]
    assert done == [
        *("install", "install", "default", "deprecate", "install", "rollback"),
        *("hold #2", "retire", "install", "hold --undo #2", "gc"),
    ]
    # A torn line of the journal is no reason to lose the next.
    journal = site.root / "journal.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"module": "hel')
    site("install", "hello@1.0")  # takes the retirement back
    assert [e["verb"] for e in site.json("history", "--last", "2")] == ["gc", "install"]
    site("verify")
    assert site.lmod("module load hello/1.0; hello").stdout == "hello 1.0\n"


def test_what_is_decided_is_checked_and_can_be_taken_back(site: Site) -> None:
    site.hello("hello", "1.0", "2.0")
    site("install", "hello@1.0")
    site("install", "hello@2.0")
    wrong = {
        ("default", "hello/3.0"): Exit.NOT_FOUND,
        ("default", "--undo", "nothing"): Exit.NOT_FOUND,
        ("default", "--undo", ""): Exit.SPEC,
        ("deprecate", "hello/1.0", "--until", "soon"): Exit.USAGE,
        ("deprecate", "hello/1.0", "--until", "2020-01-01"): Exit.USAGE,
        ("deprecate", "hello/1.0", "--reason", "a\nb"): Exit.USAGE,
        ("retire", "hello"): Exit.CONFLICT,
        ("retire", "hello/1.0", "--use", "hello/1.0"): Exit.CONFLICT,
        ("deprecate", "hello/1.0", "hello/2.0", "--use", "hello@2.0"): Exit.CONFLICT,
        ("retire", "--undo", "hello/2.0"): Exit.NOT_FOUND,
        ("hold", "hello/1.0#9"): Exit.NOT_FOUND,
        ("install", "--testing", "--force", "hello@1.0"): Exit.CONFLICT,
    }
    before = (site.root / "store/hello/1.0/.tykky/state.json").read_bytes()
    for words, code in wrong.items():
        assert "Traceback" not in site(*words, status=code).stderr, words
    assert (site.root / "store/hello/1.0/.tykky/state.json").read_bytes() == before
    site("retire", "hello/1.0", "--use", "hello/2.0")
    assert "use hello/2.0" in site("retire", "hello/1.0").stderr  # as it was
    assert "hello/1.0, which" in site("deprecate", "hello/2.0", "--use", "hello/1.0").stderr
    site("deprecate", "--undo", "hello/2.0")
    assert "retire --undo" in site("default", "hello/1.0", status=Exit.CONFLICT).stderr
    site("retire", "--undo", "hello/1.0")
    for words in ("hello/1.0#1", "hello/1.0"):
        site("hold", words, "--reason", "a paper")
        said = site("uninstall", "hello/1.0", status=Exit.CONFLICT).stderr
        assert f"{words} is held: a paper" in said
        assert f"hold --undo '{words}'" in said
        site("hold", "--undo", words)
    site("hide", "hello/1.0")
    assert "hide --undo hello/1.0" in site("default", "hello/1.0", status=Exit.CONFLICT).stderr
    site("default", "hello/2.0")
    assert "default of hello is hello/2.0" in site("hide", "hello/1.0").stderr  # as it was
    assert "hello has no default" in site("hide", "hello/2.0").stderr
    site("hide", "--undo", "hello/2.0")
    site("default", "--undo", str(site.prefix("hello@2.0")))
    site("hold", "hello/1.0")
    site("deprecate", "hello/1.0")
    (entry,) = site.found("hello@1.0")
    assert sorted(entry["marks"]) == ["deprecated", "held", "hidden"]
    site("verify")
    # The marks come back with the database, and outlive a new generation.
    shutil.rmtree(site.root / "db")
    site("reindex")
    site("install", "--force", "hello@1.0")
    assert site.found("hello@1.0")[0]["marks"] == entry["marks"]
    # So do they if the file that has them is lost.
    file = site.root / "store/hello/1.0/.tykky/state.json"
    gc = ("gc", "--dry-run", "--days", "0", "--generations", "0")
    for verb in ("refresh hello/1.0", "hide hello/1.0", "reindex"):
        for lost in (file.unlink, lambda: file.write_text("{")):
            lost()
            assert "hello/1.0#1 is kept: it is held" in site(*gc).stderr
            site(*verb.split())
            assert site.found("hello@1.0")[0]["marks"] == entry["marks"]
    for verb in ("hide", "hold", "deprecate"):
        site(verb, "--undo", "hello/1.0")
    assert site.found("hello@1.0")[0]["marks"] == {}
    # Decided twice, by two who were not told of each other: the last one counts.
    site("default", "hello/2.0")
    time.sleep(1.1)
    site("default", "hello/1.0")
    assert [e["module"] for e in site.found("hello") if "default" in e["marks"]] == ["hello/1.0"]
    site("verify")
    # Nor does anything go for good that has lost its entry and which of it is current.
    (file.parent / "current").unlink()
    shutil.rmtree(site.root / "db")
    assert "hello/1.0 is left as it is" in site(*gc).stderr
    site("doctor", "--store", "--fix")
    assert site.lmod("module load hello/1.0; hello").stdout == "hello 1.0\n"


def test_a_command_of_the_site_runs_once_after_modules_have_changed(site: Site) -> None:
    site.hello("hello", "1.0", "2.0")
    ran = site.user.home / "ran"
    note = f"module.after_change=echo changed ${{TYKKY_CHANGED%/*}} >> {ran}"
    site("-c", note, "install", "hello@1.0", "hello@2.0")
    site("-c", note, "find")
    site("-c", note, "install", "hello@1.0")
    assert ran.read_text().split()[:2] == ["changed", "hello"]
    assert ran.read_text().count("changed") == 1
    said = site("-c", "module.after_change=echo told; false", "hide", "hello/1.0", "--json")
    assert "repeat it: echo told; false" in said.stderr
    assert said.stdout.startswith("{")


def test_modules_tell_of_the_packages_that_a_recipe_asks_for(site: Site) -> None:
    site.write("tiny", TINY.replace('"six==1.17.0"', '"python-dateutil==2.9.0.post0"'))
    site("install", "tiny")

    def told(**settings: str) -> str:
        given = [("-c", f"module.{key}={value}") for key, value in settings.items()]
        site(*(word for pair in given for word in pair), "refresh", "--all")
        lines = (site.modules / "tiny/1.0.lua").read_text().splitlines()
        return "".join(line for line in lines if line.startswith("extensions"))

    assert "six" not in told()
    assert "python-dateutil/2.9.0.post0" in told()
    assert "six" in told(extensions="all")
    assert told(extensions="none") == ""
    assert told(extensions_max="1").count("/") == 1
