"""Uninstalling while programs run: they go on, also when the same is installed again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.launcher.stacks import wait_for
from tests.stacks import TINY, Site, listing
from tykky.errors import Exit

# Says that it has started, waits to be told to go on, and then needs a file it never opened, as
# does a program that it starts.
PROGRAM = """
print("started", flush=True)
input()
import subprocess, sys, tabulate
subprocess.run([sys.executable, "-c", "import six; print(6)"], check=True)
print(tabulate.__file__)
"""


def start(site: Site, prefix: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [prefix / "bin/python", "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=site.user.env,
        cwd=site.user.home,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def answer(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate("go on\n", timeout=60)
    assert process.returncode == 0
    return out


def test_running_program_outlives_uninstall_and_reinstall_of_its_stack(site: Site) -> None:
    site.write("tiny", TINY)
    site("lock", "tiny")
    site("install", "tiny")
    prefix = site.prefix("tiny")
    programs = [start(site, prefix) for _ in range(3)]
    module = f"6\n{prefix}/lib/python3.11/site-packages/tabulate/__init__.py\n"
    assert answer(programs.pop()) == module
    site("uninstall", "tiny")
    assert site.found("tiny") == []
    assert listing(prefix) == [], "what is mounted hangs on the directory"
    assert answer(programs.pop()) == module
    site("install", "tiny")
    assert site.prefix("tiny") == prefix
    assert answer(programs.pop()) == module


def test_gc_deletes_what_was_uninstalled_and_nothing_else(site: Site) -> None:
    site.hello("hello", "1.0", "0.9")
    site("install", "hello@1.0", "hello@0.9")
    gone, kept = site.prefix("hello@1.0"), site.prefix("hello@0.9")
    site("uninstall", "hello/1.0")
    site("gc")
    assert list((site.root / "trash").iterdir()), "what is younger than a week stays"
    assert "deleted 1 uninstalled stack" in site("gc", "--days", "0").stderr
    assert site.json("gc", "--days", "0")["removed"] == 0
    assert not list((site.root / "trash").iterdir())
    assert not gone.exists()
    assert kept.exists()
    assert site.lmod("module load hello; hello").stdout == "hello 0.9\n"
    site("uninstall", "hello")
    site("gc", "--days", "0")
    assert not kept.parent.exists()


def test_what_was_uninstalled_comes_back_as_it_was(site: Site) -> None:
    site.hello("hello", "2.0", "1.0")
    site("install", "hello@1.0", "hello@2.0")
    site("install", "--force", "hello@2.0")
    site("rollback", "hello/2.0")
    site("deprecate", "hello/1.0", "--reason", "it is old")
    before, lines = site.found(), listing(site.root / "store")
    files = {path: path.read_text() for path in (site.modules / "hello").iterdir()}
    assert "uninstall --undo hello/2.0" in site("uninstall", "hello/1.0", "hello/2.0").stderr
    assert "any of 2" in site("uninstall", "--undo", "hello", status=Exit.CONFLICT).stderr
    site("uninstall", "--undo", "hello/1.0", "hello/2.0")
    assert site.found() == before
    assert listing(site.root / "store") == lines
    assert {path: path.read_text() for path in (site.modules / "hello").iterdir()} == files
    assert listing(site.root / "trash") == []
    site("verify")
    assert site.json("history", "--last", "1")[0]["verb"] == "uninstall --undo"
    # What was installed since stays, and so does what nobody has uninstalled.
    for words, code in (("hello/2.0", Exit.NOT_FOUND), ("other", Exit.NOT_FOUND)):
        site("uninstall", "--undo", words, status=code)
    site("uninstall", "hello/2.0")
    site("install", "hello@2.0")
    assert "is installed" in site("uninstall", "--undo", "hello/2.0", status=Exit.CONFLICT).stderr
    site("gc", "--days", "0")
    site("uninstall", "--undo", "hello/2.0", status=Exit.NOT_FOUND)
    assert site.lmod("module load hello/2.0; hello").stdout == "hello 2.0\n"


def test_gc_leaves_a_stack_that_was_installed_again(site: Site) -> None:
    site.hello("hello")
    site("install", "hello")
    site("uninstall", "hello")
    site("install", "hello")
    site("gc", "--days", "0")
    assert site.lmod("module load hello; hello").stdout == "hello 1.0\n"


def test_gc_keeps_what_a_program_on_this_node_still_runs_from(site: Site) -> None:
    site.write("tiny", TINY)
    site("lock", "tiny")
    site("install", "tiny")
    program = start(site, site.prefix("tiny"))
    site("uninstall", "tiny")
    site("gc")
    said = site("gc", "--days", "0").stderr
    assert f"is kept: python (process {program.pid}) runs from it" in said
    out, err = program.communicate("go on\n", timeout=60)
    assert program.returncode == 0, err
    assert "tabulate" in out
    site("gc", "--days", "0")
    assert listing(site.root / "trash") == []


def test_gc_keeps_a_generation_that_a_program_still_runs_from(site: Site) -> None:
    def install(script: str) -> None:
        site.hello(
            more=f"""
            def finish(self, box):
                box.run(["chmod", "+x", box.write("bin/hello", "#!/bin/sh\\n{script}\\n")])

            def test(self, box):
                pass
            """
        )
        site("install", "hello")

    install("exec sleep 100")
    sleeper = subprocess.Popen([site.prefix() / "bin/hello"], env=site.user.env)
    try:
        assert wait_for(lambda: Path(f"/proc/{sleeper.pid}/comm").read_text() == "sleep\n")
        install("echo 2")
        install("echo 3")
        done = site("gc", "--days", "0", "--json")
        assert json.loads(done.stdout)["result"]["generations"] == ["hello/1.0#2"]
        assert f"hello/1.0#1 is kept: sleep (process {sleeper.pid}) runs from it" in done.stderr
    finally:
        sleeper.kill()
        sleeper.wait()
    assert site.json("gc", "--days", "0")["generations"] == ["hello/1.0#1"]
