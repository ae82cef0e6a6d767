"""Stack lists on one machine: the difference first, then what is missing, and a table."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.slurm import wait_for
from tests.stacks import Site
from tests.system.strangers import OtherUser
from tests.system.test_lists_slurm import GATE, write


def states(site: Site) -> dict[str, set[str]]:
    return {entry["module"]: {*entry["marks"]} for entry in site.found()}


def test_a_list_is_installed_and_a_second_call_makes_only_what_is_missing(
    site: Site, place: Path
) -> None:
    for name in ("one", "two"):
        site.hello(name)
    site.hello("above", more='needs = "one"')
    site.hello("broken", more='def finish(self, box):\n    box.run("exit 3")')
    site.hello("onbroken", more='needs = "broken"')
    for name in ("arm", "far"):
        site.hello(name)
    path = write(
        site,
        "stacks: [above, onbroken, {spec: one, settings: {squash.compression: gzip,\n"
        "  pip.index_url: 'https://me:s3cret@localhost/simple'}}, broken, two,\n"
        "  {spec: arm, arch: aarch64}, {spec: far, when: {host: no-such-host}}]\n",
    )
    shown = site("install", "--list", path, "--dry-run").stdout
    assert "above/1.0     x86_64   build, after one/1.0" in shown
    assert "not here: for aarch64" in shown and "not here: for another host" in shown
    assert not site.root.exists()
    assert len(site.json("fetch", "--list", path)["specs"]) == 5  # of this machine alone
    # Without --keep-going nothing more is begun once one has failed.
    words = ("install", "--list", path, "--jobs", "2", "--json")
    assert "failed" in {row.get("state") for row in site.json(*words, status=13)["stacks"]}
    first = site.envelope(*words, "--keep-going", status=13)
    told = {row["module"]: row.get("state") for row in first["result"]["stacks"]}
    assert told["onbroken/1.0"] == "not begun" and told["broken/1.0"] == "failed"
    assert {*site.found()[0]} and states(site).keys() == {"above/1.0", "one/1.0", "two/1.0"}
    assert [site.images(name)[0].read_bytes()[20] for name in ("one", "two")] == [1, 6]  # gzip
    assert not [p for p in site.root.rglob("*") if p.is_file() and b"s3cret" in p.read_bytes()]
    log = site.root / "builds/failed/broken@1.0.log"
    assert "exit 3" in log.read_text() and f"{path}:2" in log.read_text()
    assert site("log", "--failed", "broken", "--path").stdout == f"{log}\n"
    site.hello("broken")
    done = site("install", "--list", path, "--jobs", "2")
    assert done.stdout.count("there already") == 3 and done.stdout.count(" done ") == 2
    assert not log.exists()
    told = site("install", "--list", path, "--testing", "--full")
    assert told.stdout.count("there already") == 5
    assert told.stderr.count("is not hidden, as it was before") == 5
    runs = site.json("builds")
    assert runs[0]["states"] == ["done", "done"]
    other = write(site, "stacks: [one]\n", "other.yaml")
    words = ("install", "--list", other, "--force")
    assert "1 stack, 1 to be built" in site(*words, "--dry-run").stderr
    site(*words, "--full")
    assert site.record("one")["generation"] == 2
    # What is no name of a root is no folder of wherever somebody happens to be.
    write(site, "stacks: [{spec: two, root: elsewhere}]\n")
    assert "is no name of 'roots'" in site("install", "--list", path, status=5).stderr
    write(site, "stacks: [{spec: two, settings: {squash.level: 99}}]\n")
    problem = site("install", "--list", path, status=5).stderr
    assert "squash.level" in problem and f"{path}:1" in problem and "-c " not in problem
    write(site, "stacks: [{spec: two, when: {host: no-such-host}}]\n")
    done = site("install", "--list", path)
    assert "nothing to be built" in done.stderr and not done.stdout
    # One that cannot even be planned stops all, unless that is wanted otherwise.
    write(site, "stacks:\n  - two\n  - nope\n")
    problem = site("install", "--list", path, status=3).stderr
    assert "there is no recipe 'nope'" in problem and f"{path}:3" in problem
    assert (
        "1 there already, 1 failed"
        in site("install", "--list", path, "--keep-going", status=3).stderr
    )


def test_apply_makes_states_equal_and_removes_with_prune_only(site: Site) -> None:
    site.hello("hello", "2.0", "1.0", "0.9")
    site.hello("base")
    site.hello("user", more='needs = "base"')
    site.hello("other")
    site("install", "base", "user", "other", "hello@0.9")
    site("hold", "hello/0.9")
    path = write(
        site,
        "stacks:\n  - user\n  - {spec: hello@2.0, hidden: yes}\n"
        "  - {spec: hello@1.0, default: true,\n"
        "     deprecated: {until: 2099-01-01, use: hello/2.0, reason: old}}\n",
    )
    plan = site("apply", path, "--dry-run")
    assert "default, deprecated until 2099-01-01, use hello/2.0" in plan.stdout
    assert "other/1.0  " in plan.stdout and "not in this list (--prune removes it)" in plan.stdout
    assert "other/1.0: --prune removes also what other lists name" in plan.stderr
    assert "base/1.0 stays: user/1.0#1 needs it" in plan.stderr
    assert "hello/0.9 stays: it is held" in plan.stderr
    site("apply", path)
    assert states(site)["hello/1.0"] == {"default", "deprecated"} and "other/1.0" in states(site)
    assert states(site)["hello/2.0"] == {"hidden"}
    # It was so from the first, and nobody has seen it before.
    assert [event["verb"] for event in site.json("history", "hello/2.0")["events"]] == ["install"]
    assert [
        c for c in site.json("apply", path, "--dry-run") if c["does"] not in ("nothing", "remove")
    ] == []
    # What is for another host is named as well.
    write(site, "stacks: [user, hello@2.0, hello@1.0, {spec: other, when: {host: nowhere}}]\n")
    shown = site("apply", path, "--prune", "--dry-run").stdout
    assert "other/1.0  x86_64  not here" in shown and "remove" not in shown
    # What the list says no more is taken back; what it never said, is not.
    write(site, "stacks: [user, {spec: hello@2.0, default: yes}, hello@1.0]\n")
    answer = site.json("apply", path, "--prune")
    assert answer["removed"] == ["other/1.0"]
    assert states(site) == {
        "hello/0.9": {"held"},
        "hello/1.0": set(),
        "hello/2.0": {"default"},
        "base/1.0": set(),
        "user/1.0": set(),
    }
    # What cannot be, or leads nowhere, is said with its lines.
    write(site, "stacks:\n- {spec: hello@2.0, default: yes}\n- {spec: hello@1.0, default: yes}\n")
    problem = site("apply", path, status=5).stderr
    assert f"so is hello/2.0 ({path}:2)" in problem and f"{path}:3" in problem
    write(site, "stacks: [{spec: user, deprecated: {use: user@1.0}}]\n")
    assert "instead of itself" in site("apply", path, "--dry-run", status=5).stderr
    write(site, "stacks: [{spec: user, deprecated: {use: hello/3}}]\n")
    assert f"{path}:1: 'hello/3', to be used" in site("apply", path, "--dry-run").stderr
    write(site, "stacks: []\n")
    assert "would be removed" in site("apply", path, "--prune", status=5).stderr
    write(site, "stacks: [nope]\n")
    site("apply", path, "--prune", "--keep-going", status=3)
    assert "hello/2.0" in states(site)


def test_a_bundle_has_what_the_list_says_in_the_root_that_it_says(site: Site, place: Path) -> None:
    site.hello("hello", "1.1", "1.0")
    site("install", "hello@1.0")
    path = write(site, "root: ./there\nstacks:\n  - hello\n")
    words = ("bundle", "--list", path, "-o", place / "b.tar")
    refused = site(*words, status=6).stderr
    assert "hello/1.1 is not installed in " in refused and f"{path}:3" in refused
    assert not (place / "b.tar").exists()
    site("install", "--list", path)
    more = f"{{spec: hello@1.0, root: {site.root}}}, {{spec: far, when: {{host: nowhere}}}}"
    write(site, f"root: ./there\nstacks: [hello, {more}]\n")
    assert site.json(*words)["has"] == ["hello/1.0#1", "hello/1.1#1"]


def test_two_with_the_same_list_finish_it_together(site: Site, place: Path) -> None:
    names = [f"s{number}" for number in range(3)]
    for name in names:
        site.hello(name)
    count = f'    open("{place}/tries", "a").write("x")\n'
    gate = GATE.format(place=place, name="bad").replace("/open", "/fail")
    site.hello("bad", more=f"{gate}{count}    box.run('exit 3')")
    site.hello("gated", more=GATE.format(place=place, name="gated"))
    path = write(site, f"stacks: [gated, {', '.join(names)}, bad]\n")
    words = ("install", "--list", path, "--keep-going", "--json")
    other = write(site, "stacks: [bad]\n", "other.yaml")
    zero = site.start("install", "--list", other)
    one = site.start(*words)
    wait_for(lambda: (place / "gated.began").exists() and (place / "bad.began").exists())
    # The others are held up; this one takes what is free, and does not wait for them.
    two = site.start(*words)
    wait_for(lambda: len(site.found()) == len(names))
    # What another one could not build, is not tried again.
    (place / "fail").touch()
    assert zero.wait(60) == 13
    # Who is killed leaves it to the others.
    build = int((place / "gated.began").read_text())
    (place / "gated.began").unlink()
    os.kill(one.pid, signal.SIGKILL)
    os.kill(build, signal.SIGKILL)
    one.communicate()
    (place / "open").touch()
    answer = json.loads(two.communicate(timeout=120)[0])
    told = {row["module"]: row["state"] for row in answer["result"]["stacks"]}
    assert told == {f"{name}/1.0": "done" for name in ("gated", *names)} | {"bad/1.0": "failed"}
    assert (place / "tries").read_text() == "x"
    assert [{*run["states"]} for run in site.json("builds")].count({"stopped"}) == 1
    # Nobody who may only read can hold up the next.
    files = [*site.root.glob("builds/leases/*"), *site.root.glob("store/*/*/.tykky/lock")]
    assert len(files) > len(names) and {f.stat().st_mode & 0o777 for f in files} == {0o600}
    # And an interrupted one says so, and leaves nothing half done.
    (place / "open").unlink()
    (place / "gated.began").unlink()
    site("uninstall", "gated")
    three = site.start(*words)
    wait_for(lambda: (place / "gated.began").exists())
    assert "is told to stop" in site("builds", "--cancel").stderr
    assert three.wait(60) == 143
    assert site.json("builds")[0]["states"] == ["stopped", "stopped"]
    assert len(site.found()) == len(names)


def test_a_place_never_mixes_architectures_and_find_shows_which(site: Site) -> None:
    site.hello()
    site.hello("above", more='needs = "hello"')
    site.hello("onit", more='base = "stack:hello"')
    site("install", "hello")
    assert "ARCH" not in site("find").stdout
    for file in (site.generation("hello") / "record.json", site.root / "db/hello/1.0.json"):
        text = file.read_text()
        assert '"arch": "x86_64"' in text
        file.write_text(text.replace('"arch": "x86_64"', '"arch": "aarch64"'))
    shown = site("find").stdout
    assert "ARCH" in shown and "aarch64" in shown
    assert site("find", "--format", "{arch}").stdout == "aarch64\n"
    for name in ("hello", "above", "onit"):
        refused = site("install", name, status=7).stderr
        assert "is for aarch64, and this would be for x86_64" in refused
    site.hello("new")
    path = write(site, "arch: [x86_64, aarch64]\nstacks: [new]\n")
    problem = site("install", "--list", path, "--dry-run", status=7).stderr
    assert "would be in the same place" in problem and "{arch}" in problem
    assert f"{path}:2" in problem
    write(site, "arch: [x86_64, aarch64]\nroot: './{arch}'\nstacks: [new]\n")
    assert "not here: for aarch64" in site("install", "--list", path, "--dry-run").stdout
    path = write(site, "arch: aarch64\nstacks: [hello]\n")
    assert "there already" in site("install", "--list", path).stdout


#: What somebody may put where several keep their runs: a file of theirs for each name.
PLANT = """
import json, os, pathlib, sys
from socket import gethostname
top, user, process, secret = sys.argv[1:]
task = {"number": 1, "spec": "x@1", "module": "x/1", "root": "/r", "arch": "x86_64"}
run = {"list": "l", "user": user, "host": gethostname(), "when": "", "cwd": "/", "tasks": [task]}
os.mkdir(top)
os.chmod(top, 0o1777)
for number, engine in ((1, "here"), (2, "slurm")):
    folder = pathlib.Path(top, str(number))
    folder.mkdir()
    folder.chmod(0o777)
    facts = {**run, "engine": engine, "process": int(process)}
    (folder / "run.json").write_text(json.dumps(facts))
pathlib.Path(top, "1/lock").touch()
(folder / "1.job").write_text("oom_kill event")
(folder / "1.out").symlink_to(secret)
"""


def test_what_somebody_else_says_of_runs_ends_no_process_and_shows_no_file(
    site: Site, place: Path, other_user: OtherUser
) -> None:
    shared, secret = other_user.home / "shared", place / "secret"
    secret.write_text("only mine")
    site = site.with_env(TYKKY_BUILDS_DIR=str(shared))
    sleeping = subprocess.Popen(["sleep", "60"])
    words = (shared, getpass.getuser(), sleeping.pid, secret)
    other_user.run(sys.executable, "-c", PLANT, *map(str, words))
    with (shared / "1/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "somebody else has written it" in site("builds", "1", "--cancel", status=7).stderr
        site("builds", "--cancel", status=6)
    assert sleeping.poll() is None
    sleeping.kill()
    sleeping.wait()
    (shared / "1/1.json").write_text('{"state": "failed", "code": 999}')
    site("builds", "1", "--follow", status=1)
    assert site.json("builds")[0]["states"] == ["out of memory"]
    seen = [p for p in shared.rglob("*") if p.is_file() and not p.is_symlink()]
    assert not [p for p in seen if "only mine" in p.read_text()]
