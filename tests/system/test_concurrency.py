"""Several installs at once: one builds and the others wait, and no record is lost."""

from __future__ import annotations

import getpass
import os
import random
import re
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from tests.stacks import Site, listing
from tests.system.sabotage import sabotaged
from tests.system.wholeness import assert_no_litter
from tykky.errors import Exit
from tykky.store import Store, retired


def outcomes(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """How each process ended, and what it said."""
    answers = []
    for process in processes:
        _, err = process.communicate(timeout=100)
        answers.append((process.returncode, err))
    return answers


def until(process: subprocess.Popen[str], words: str) -> str:
    """Read what a process says until a line has the words in it; returns that line."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"it ended without saying '{words}'")


def test_two_installs_of_the_same_build_once_and_the_second_waits_for_the_first(
    site: Site, place: Path
) -> None:
    go = place / "go"
    site.hello(more=waits_for(go))
    first = site.start("install", "hello")
    until(first, "build")
    second = site.start("install", "hello")
    line = until(second, "waiting")
    assert "hello/1.0" in line
    assert getpass.getuser() in line
    assert socket.gethostname() in line
    assert f"process {first.pid}" in line
    go.touch()
    (status_1, said_1), (status_2, said_2) = outcomes([first, second])
    assert (status_1, status_2) == (0, 0), said_1 + said_2
    assert "squash" in said_1
    assert "squash" not in said_2
    assert "is installed already" in said_2
    assert len(site.found()) == 1


def waits_for(sign: Path) -> str:
    """A step of a recipe that ends when a file is there."""
    return f"""
    def finish(self, box):
        import pathlib
        import time

        for _ in range(1200):
            if pathlib.Path({str(sign)!r}).exists():
                return
            time.sleep(0.05)
        raise TimeoutError
    """


def test_a_job_goes_on_while_its_stack_is_built_again(site: Site, place: Path) -> None:
    site.hello()
    site("install", "hello")
    go, started, done = place / "go", place / "started", place / "done"
    site.hello(more=waits_for(go))
    job = f"""
        module load hello
        touch {started}
        while [ ! -e {done} ]; do hello; done >/dev/null
        hello with what it has loaded
        module purge; module load hello; hello again
    """
    with ThreadPoolExecutor() as pool:
        running = pool.submit(site.lmod, job)
        building = site.start("install", "hello")
        until(building, "build")
        while not started.exists():
            time.sleep(0.05)
        said = site.lmod("module load hello; hello meanwhile").stdout
        go.touch()
        (outcome,) = outcomes([building])
        done.touch()
    assert outcome[0] == 0, outcome[1]
    assert said == "hello 1.0 meanwhile\n"
    assert running.result().stdout == "hello 1.0 with what it has loaded\nhello 1.0 again\n"
    assert site.record("hello")["generation"] == 2


def test_one_who_waits_builds_itself_when_the_builder_is_killed(site: Site, place: Path) -> None:
    go = place / "go"
    site.hello(more=waits_for(go))
    first = site.start("install", "hello")
    until(first, "build")
    second = site.start("install", "hello")
    until(second, "waiting")
    os.killpg(first.pid, signal.SIGKILL)
    go.touch()
    (status_1, _), (status_2, said_2) = outcomes([first, second])
    assert status_1 == -signal.SIGKILL
    assert status_2 == 0, said_2
    assert "squash" in said_2
    assert len(site.found()) == 1


def test_one_who_waits_builds_itself_when_the_builder_fails(site: Site, place: Path) -> None:
    go = place / "go"
    failed = place / "failed"
    site.hello(
        more=waits_for(go)
        + f"""
    def test(self, box):
        import pathlib

        failed = pathlib.Path({str(failed)!r})
        if not failed.exists():
            failed.touch()
            box.run("false")
    """
    )
    first = site.start("install", "hello")
    until(first, "build")
    second = site.start("install", "hello")
    until(second, "waiting")
    go.touch()
    (status_1, said_1), (status_2, said_2) = outcomes([first, second])
    assert status_1 == 15, said_1
    assert status_2 == 0, said_2
    assert len(site.found()) == 1
    assert site.lmod("module load hello; hello").stdout == "hello 1.0\n"


def test_interrupting_one_who_waits_disturbs_nobody(site: Site, place: Path) -> None:
    go = place / "go"
    site.hello(more=waits_for(go))
    first = site.start("install", "hello")
    until(first, "build")
    second = site.start("install", "hello")
    until(second, "waiting")
    second.send_signal(signal.SIGINT)
    ((status_2, said_2),) = outcomes([second])
    assert status_2 == 130
    assert "Traceback" not in said_2
    third = site.start("install", "hello")
    assert f"process {first.pid}" in until(third, "waiting"), "the first is still the owner"
    go.touch()
    answers = outcomes([first, third])
    assert [status for status, _ in answers] == [0, 0], answers
    assert len(site.found()) == 1


def test_eight_installs_at_once_lose_no_record(site: Site) -> None:
    versions = [f"{number}.0" for number in range(4)]
    site.hello("hello", *versions)
    names = [f"other{number}" for number in range(4)]
    for name in names:
        site.hello(name)
    specs = [f"hello@{version}" for version in versions] + names
    answers = outcomes([site.start("install", spec) for spec in specs])
    assert [status for status, _ in answers] == [0] * 8, answers
    wanted = [f"hello/{version}" for version in versions] + [f"{name}/1.0" for name in names]
    assert sorted(entry["module"] for entry in site.found()) == sorted(wanted)
    assert site.modulefiles() == sorted(f"{module}.lua" for module in wanted)
    for module in wanted:
        name, version = module.split("/")
        assert site.lmod(f"module load {module}; hello").stdout == f"hello {version}\n", name
    assert site.lmod("module load hello; hello").stdout == "hello 0.0\n", "the first is default"


def test_same_spec_into_two_roots_at_once(site: Site, place: Path) -> None:
    site.hello(
        more="""
        def finish(self, box):
            import pathlib
            import time

            for _ in range(1200):
                if pathlib.Path(f"{box.prefix.parents[2]}.go").exists():
                    return
                time.sleep(0.05)
            raise TimeoutError
        """
    )
    roots = [place / "a", place / "b"]
    builds = []
    for root in roots:
        builds.append(site.start("install", "--root", root, "hello"))
        until(builds[-1], "build")
    for root, build in zip(roots, builds, strict=True):
        root.with_name(f"{root.name}.go").touch()
        ((status, said),) = outcomes([build])
        assert status == 0, said
        command = next(root.glob("store/hello/*/bin/hello"))
        assert site.user.run(command).stdout == "hello 1.0\n"


def test_install_that_fails_takes_nothing_from_one_that_begins(site: Site) -> None:
    """The last of a name takes the name's folder with it, in which another wants to begin."""
    site.hello("hello", "1.0", "2.0")
    stopped = sabotaged(site, signal.SIGSTOP, match="^mkdir [^ ]+/store/hello/2.0/")
    begins = stopped.start("install", "hello@2.0")
    while state_of(begins) not in ("T", "Z"):
        time.sleep(0.02)
    assert (site.root / "store/hello").is_dir()
    hooks = site.hooks("def before_squash(build):\n    raise RuntimeError('not today')\n")
    site("install", "hello@1.0", "-c", f"hooks={hooks}", status=5)
    os.kill(begins.pid, signal.SIGCONT)
    ((status, said),) = outcomes([begins])
    assert status == 0, said
    assert site.lmod("module load hello; hello").stdout == "hello 2.0\n"


def state_of(process: subprocess.Popen[str]) -> str:
    """The kernel's letter for what a process does: ``T`` if it is stopped."""
    text = Path(f"/proc/{process.pid}/stat").read_text()
    return text.rpartition(")")[2].split()[0]


def test_uninstall_waits_for_an_install_of_the_same(site: Site, place: Path) -> None:
    go = place / "go"
    site.hello("hello", "1.0", "0.9")
    site("install", "hello")
    hooks = site.hooks(
        f"""
        import pathlib, time

        def after_publish(build):
            pathlib.Path({str(place / "there")!r}).touch()
            for _ in range(1200):
                if pathlib.Path({str(go)!r}).exists():
                    break
                time.sleep(0.05)
        """
    )
    first = site.start("install", "hello@0.9", "-c", f"hooks={hooks}")
    while not (place / "there").exists() and first.poll() is None:
        pass
    second = site.start("uninstall", "hello/0.9")
    until(second, "waiting")
    go.touch()
    answers = outcomes([first, second])
    assert [status for status, _ in answers] == [0, 0], answers
    assert [entry["module"] for entry in site.found()] == ["hello/1.0"]
    assert site.modulefiles() == ["hello/1.0.lua"]


def test_installs_and_uninstalls_of_one_name_do_not_disturb_each_other(site: Site) -> None:
    versions = [f"{number}.0" for number in range(6)]
    site.hello("hello", *versions)
    site("install", *[f"hello@{version}" for version in versions[:3]])
    going = [site.start("uninstall", f"hello/{version}") for version in versions[:3]]
    coming = [site.start("install", f"hello@{version}") for version in versions[3:]]
    answers = outcomes(going + coming)
    assert [status for status, _ in answers] == [0] * 6, answers
    left = [f"hello/{version}" for version in versions[3:]]
    assert [entry["module"] for entry in site.found()] == left
    assert site.modulefiles() == [f"{module}.lua" for module in left]
    assert site.lmod("module load hello; hello").stdout == "hello 3.0\n"
    assert not re.search("Traceback", "".join(said for _, said in answers))


def two_recipes(site: Site, place: Path, go: Path) -> list[Site]:
    """The same site with two recipes of one module, each of which waits for a sign."""
    sites = []
    for word in ("one", "two"):
        here = replace(site, repo=place / f"repo-{word}")
        here = here.with_env(TYKKY_REPOS=str(here.repo), TYKKY_BUILD_DIR=str(place / f"b-{word}"))
        greets = f"\ndef equip(self, box):\n    box.run('sed -i s/hello/{word}/ bin/hello')"
        here.hello(more=dedent(waits_for(go)) + greets)
        sites.append(here)
    return sites


def test_two_builds_of_different_inputs_are_two_generations_and_the_later_one_counts(
    site: Site, place: Path
) -> None:
    go = place / "go"
    one, two = two_recipes(site, place, go)
    first = one.start("install", "hello")
    until(first, "build")
    second = two.start("install", "hello")
    until(second, "waiting")
    go.touch()
    answers = outcomes([first, second])
    assert [status for status, _ in answers] == [0, 0], answers
    told = site.json("history", "hello")
    assert [event["generation"] for event in told["events"]] == [1, 2]
    assert site.lmod("module load hello; hello").stdout == "two 1.0\n"
    site("rollback", "hello")
    assert site.lmod("module load hello; hello").stdout == "one 1.0\n"
    site("verify")


def test_of_two_selections_with_one_module_the_second_is_refused(site: Site, place: Path) -> None:
    go = place / "go"
    more = dedent(waits_for(go)) + "\nextra = variant(False, help='More.')\n"
    recipe = site.hello("hello", "1.0", "1.0-extra", more=more)
    recipe.write_text("from tykky import variant\n" + recipe.read_text())
    first = site.start("install", "hello@1.0", "+extra")
    until(first, "build")
    second = site.start("install", "hello@1.0-extra")
    until(second, "waiting")
    go.touch()
    (status_1, said_1), (status_2, said_2) = outcomes([first, second])
    assert (status_1, status_2) == (0, int(Exit.CONFLICT)), said_1 + said_2
    assert "hello/1.0-extra belongs to another selection already" in said_2
    assert [entry["generation"] for entry in site.found()] == [1]


def test_where_there_are_no_locks_one_of_two_builds_says_that_it_lost(
    site: Site, place: Path
) -> None:
    go = place / "go"
    builds = []
    for here in two_recipes(site, place, go):
        builds.append(sabotaged(here, nolock=1).start("install", "hello"))
        assert "no locks" in until(builds[-1], "no locks")
        until(builds[-1], "build")
    go.touch()
    answers = outcomes(builds)
    assert sorted(status for status, _ in answers) == [0, 7], answers
    lost = next(said for status, said in answers if status)
    assert "somebody else has made" in lost
    assert "is built, but" not in lost
    won = ("one", "two")[[status for status, _ in answers].index(0)]
    assert site.lmod("module load hello; hello").stdout == f"{won} 1.0\n"
    assert len(site.found()) == 1
    assert "an image that no generation has" in site("verify", status=int(Exit.DAMAGED)).stdout
    # The next one with locks leaves nothing of who lost.
    again = ("one", "two")[[status for status, _ in answers].index(7)]
    site.with_env(TYKKY_REPOS=str(place / f"repo-{again}"))("install", "hello")
    assert site.lmod("module load hello; hello").stdout == f"{again} 1.0\n"
    assert len(site.images()) == 2
    assert_no_litter(site)


@pytest.mark.parametrize("verb", ["install --force hello", "uninstall hello"])
def test_reindex_beside_a_slow_change_hinders_nobody_and_leaves_no_ghost(
    site: Site, verb: str
) -> None:
    site.hello()
    site("install", "hello")
    slow = sabotaged(site, slow=300, ops="rename").start(*verb.split())
    while slow.poll() is None:
        if "--force" in verb:
            (site.root / "db/hello/1.0.json").unlink(missing_ok=True)
        site("reindex")
    ((status, said),) = outcomes([slow])
    assert status == 0, said
    site("reindex")
    there = [] if "uninstall" in verb else ["hello/1.0"]
    assert [entry["module"] for entry in site.found()] == there
    assert (site.root / "db/hello").exists() == bool(there)
    assert_no_litter(site)


@pytest.mark.parametrize("before", ["flock [^ ]+/hello/1.0/.tykky$", "rename [^ ]+/db/hello/"])
def test_reindex_that_is_slow_enters_nothing_that_was_uninstalled_meanwhile(
    site: Site, before: str
) -> None:
    site.hello()
    site("install", "hello")
    entry = site.root / "db/hello/1.0.json"
    kept = entry.read_bytes()
    entry.unlink()
    stopped = sabotaged(site, signal.SIGSTOP, match=before, ops="flock rename").start("reindex")
    while state_of(stopped) not in ("T", "Z"):
        time.sleep(0.02)
    entry.write_bytes(kept)  # by which 'uninstall' finds it
    removal = site.start("uninstall", "hello")
    if "rename" in before:
        until(removal, "waiting")
    else:
        assert outcomes([removal])[0][0] == 0
    os.kill(stopped.pid, signal.SIGCONT)
    for status, said in outcomes([stopped, *([removal] if "rename" in before else [])]):
        assert status == 0, said
    assert site.found() == []
    assert not (site.root / "db/hello").exists()


@pytest.mark.slow
def test_sixteen_at_once_leave_no_wrong_state(site: Site, place: Path) -> None:
    """Everybody does anything, for a minute, or as many as TYKKY_TEST_SECONDS says."""
    sites = []
    for word in ("one", "two"):  # whose recipes differ
        repo = place / f"repo-{word}"
        sites.append(replace(site, repo=repo).with_env(TYKKY_REPOS=str(repo)))
        for name in ("hello", "other"):
            sites[-1].hello(name, "1.0", "0.9", more=f"def equip(self, box):\n    '{word}'")
    stacks = [f"{name}/{version}" for name in ("hello", "other") for version in ("1.0", "0.9")]
    changes = ("install {}", "install {}", "install --force {}", "rollback {}", "uninstall {}")
    changes += ("default {}", "default --undo {}", "hide {}", "hide --undo {}", "hold {}#1")
    changes += (
        "deprecate {} --use other",
        "hold --undo {}",
        "update {}",
        "retire {}",
        "retire --undo {}",
    )
    shared = (
        "history --last 3",
        "which hello",
        "gc --days 0",
        "gc",
        "reindex",
        "refresh --all",
        "find",
        "verify",
    )
    end = time.monotonic() + int(os.environ.get("TYKKY_TEST_SECONDS", "60"))

    def work(number: int) -> list[str]:
        wrong, chance = [], random.Random(number)
        while time.monotonic() < end:
            stack = chance.choice(stacks)
            command = site.root / "store" / stack / "bin/hello"
            if number % 4 == 0 and command.exists():
                script = f'test -x "{command}" || exit 0; exec "{command}"'
                done = site.user.run("sh", "-c", script, status=None)
                allowed, words = {0, 125, 126, 127}, str(command)
                if done.stdout and not done.stdout.startswith("hello "):
                    wrong.append(f"{command} says {done.stdout}")
            else:
                words = chance.choice([*changes, *shared][number % 3 :]).format(stack)
                done = chance.choice(sites)(*words.split(), status=None)
                allowed = {0, Exit.NOT_FOUND, Exit.CONFLICT}
                # What is just being changed may look damaged to who reads it.
                allowed |= {Exit.DAMAGED} if words.split()[0] in ("verify", "refresh") else set()
            if done.returncode not in allowed or "Traceback" in done.stderr:
                wrong.append(f"{words}: {done.returncode}\n{done.stderr}")
        return wrong

    with ThreadPoolExecutor(16) as pool:
        wrong = [each for found in pool.map(work, range(16)) for each in found]
    assert not wrong, "\n\n".join(wrong)
    site("verify")
    found = [entry["module"] for entry in site.found()]
    current = site.root.glob("store/*/*/.tykky/current")
    assert found == sorted(str(p.parents[1].relative_to(site.root / "store")) for p in current)
    told = {each.module for each in retired.of(Store(site.root))}  # of what is gone, too
    assert site.modulefiles() == sorted(f"{module}.lua" for module in {*found, *told})
    for module in found:
        said = site.user.run(site.root / "store" / module / "bin/hello").stdout
        assert said == f"hello {module.partition('/')[2]}\n"
    site("gc", "--days", "0")
    assert_no_litter(site)
    assert listing(site.root / "trash") == []


def needing(site: Site, go: Path) -> None:
    """A stack that another one needs, whose build waits for a sign."""
    site.hello("lower")
    site("install", "lower")
    site.hello("upper", more=waits_for(go) + '\n    needs = "lower"')


@pytest.mark.parametrize("again", [False, True], ids=["gone", "another"])
def test_stack_whose_need_is_removed_while_it_is_built_is_not_installed(
    site: Site, place: Path, again: bool
) -> None:
    go = place / "go"
    needing(site, go)
    build = site.start("install", "upper")
    until(build, "build")
    site("uninstall", "lower")
    if again:
        site.hello("lower", more="def finish(self, box):\n    box.write('new', 'new')")
        site("install", "lower")
    go.touch()
    ((status, said),) = outcomes([build])
    assert status == int(Exit.CONFLICT), said
    assert "lower/1.0#1, which upper/1.0 needs, was removed" in said
    assert [entry["name"] for entry in site.found()] == ["lower"] * again
    assert not (site.root / "store/upper").exists()


def test_what_is_needed_is_not_removed_while_a_stack_is_committed(site: Site, place: Path) -> None:
    go = place / "go"
    go.touch()
    needing(site, go)
    go.unlink()
    hooks = site.hooks(
        f"""
        import pathlib, time

        def before_publish(build):
            while not pathlib.Path({str(go)!r}).exists():
                time.sleep(0.05)
        """
    )
    build = site.start("install", "upper", "-c", f"hooks={hooks}")
    until(build, "build")
    go.touch()  # for its step
    until(build, "test")
    go.unlink()
    until(build, "commit")
    removal = site.start("uninstall", "lower")
    until(removal, "waiting")
    go.touch()
    (built, said_1), (removed, said_2) = outcomes([build, removal])
    assert (built, removed) == (0, 7), said_1 + said_2
    assert "lower/1.0 is needed by upper/1.0" in said_2
    assert site.lmod("module load upper; hello").stdout == "hello 1.0\n"
