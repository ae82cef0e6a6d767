"""Stack lists through Slurm: two nodes of this machine, a job for each stack, no accounting."""

from __future__ import annotations

import getpass
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import slurm
from tests.slurm import Cluster, wait_for
from tests.stacks import Site

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not slurm.is_there(), reason="Slurm is missing: tools/provision slurm"),
]

#: A step that tells its process, and waits until the test opens the gate.
GATE = """
def finish(self, box):
    import os, pathlib, time
    pathlib.Path("{place}/{name}.began").write_text(str(os.getpid()))
    for _ in range(2400):  # nobody opens it where the test has failed
        if pathlib.Path("{place}/open").exists():
            break
        time.sleep(0.05)
"""


@pytest.fixture
def cluster(place: Path) -> Iterator[Cluster]:
    cluster = Cluster(place / "slurm")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def write(site: Site, text: str, name: str = "site.yaml") -> Path:
    path = site.user.home / name
    path.write_text(text)
    path.chmod(0o644)
    return path


def test_twelve_stacks_on_two_nodes_with_a_kill_a_requeue_and_a_restart_of_slurmctld(
    site: Site, place: Path, cluster: Cluster
) -> None:
    site = site.with_env(**cluster.env, TYKKY_SLURM_SCRATCH=f"{place}/$SLURMD_NODENAME")
    plain = [f"plain{number}" for number in range(1, 6)]
    for name in plain:
        site.hello(name)
    site.hello("above", more='needs = "plain1"')
    site.hello("onfailed", more='needs = "bad1"')
    for name in ("killed", "requeued", "slow"):
        site.hello(name, more=GATE.format(place=place, name=name))
    for name in ("bad1", "bad2"):
        site.hello(name, more='def finish(self, box):\n    box.run("exit 3")')
    names = ["above", "onfailed", *plain, "killed", "requeued", "slow", "bad1", "bad2"]
    path = write(site, "stacks: [" + ", ".join(names) + "]\n")
    words = ("install", "--list", path, "--slurm", "--keep-going", "--jobs", "8")

    first = site.start(*words)
    gated = [place / f"{name}.began" for name in ("killed", "requeued", "slow")]
    wait_for(lambda: all(file.exists() for file in gated))
    # Who goes away is told how to look again; the jobs go on.
    first.send_signal(signal.SIGINT)
    assert "tykky builds 1 --follow" in first.communicate(timeout=60)[1]
    assert first.returncode == 130
    jobs = json.loads((site.root / "builds/1/jobs.json").read_text())
    number = {name: jobs[str(row)][0] for name, row in rows(site).items()}
    kill_job(place / "killed.began")
    (place / "requeued.began").unlink()
    cluster.requeue(number["requeued"])
    seen = {row["module"]: row["state"] for row in site.json("builds", "1")}
    assert (seen["requeued/1.0"], seen["slow/1.0"]) == ("waiting", "building")
    cluster.begin_again(number["requeued"])
    cluster.stop_controller()
    follower = site.start("builds", "--follow", "--json")
    cluster.start_controller()
    wait_for(lambda: (place / "requeued.began").exists())
    # Who wants what is under way joins it: nothing is submitted twice.
    before = cluster.jobs().keys()
    other = write(site, "stacks: [slow, requeued]\n", "other.yaml")
    joined = site.start("install", "--list", other, "--slurm", "--json")
    wait_for(lambda: (site.root / "builds/2/jobs.json").exists())
    assert cluster.jobs().keys() == before
    # And who ends that hears whose jobs those are.
    told = site("builds", "2", "--cancel").stderr
    assert "0 jobs cancelled" in told and "'tykky builds 1 --cancel' ends them" in told
    (place / "open").touch()

    wanted = dict.fromkeys(names, "done")
    wanted |= {"bad1": "failed", "bad2": "failed", "killed": "failed", "onfailed": "not begun"}
    result = json.loads(follower.communicate(timeout=120)[0])
    told = {row["module"].partition("/")[0]: row for row in result["result"]}
    assert {name: row["state"] for name, row in told.items()} == wanted
    assert result["code"] == 32  # of the first that has failed, which was killed
    assert len({row["host"] for row in told.values()} - {""}) == 2
    for name in ("bad1", "bad2"):
        log = Path(told[name]["log"])
        assert log.parent == site.root / "builds/failed" and "exit 3" in log.read_text()
    states = [
        row["state"] for row in json.loads(joined.communicate(timeout=60)[0])["result"]["stacks"]
    ]
    assert states == ["done", "done"]

    # Each node has built on a disk of its own.
    assert [*place.glob("n?/tykky-*")] and not (place / "build").exists()
    # The second call makes what is missing, and nothing else.
    table = site(*words, status=13).stdout
    tasks = json.loads((site.root / "builds/3/run.json").read_text())["tasks"]
    assert {task["module"] for task in tasks} == {f"{n}/1.0" for n in names if wanted[n] != "done"}
    lines = {line.partition("/")[0]: line for line in table.splitlines()[1:]}
    there = {n for n in names if "there already" in lines[n]}
    assert there == {n for n in names if wanted[n] == "done"}
    assert " done " in lines["killed"] and "bad1@1.0.log" in lines["bad1"]
    found = {entry["module"].partition("/")[0]: entry["generation"] for entry in site.found()}
    assert found == {n: 1 for n in names if n not in ("bad1", "bad2", "onfailed")}


def kill_job(began: Path) -> None:
    """Kill a build, and what its job runs, at once."""
    build = int(began.read_text())
    parent = int(Path(f"/proc/{build}/stat").read_text().rpartition(")")[2].split()[1])
    for process in (parent, build):
        os.kill(process, signal.SIGKILL)


def rows(site: Site) -> dict[str, int]:
    """The number of the task of each stack in the first run."""
    tasks = json.loads((site.root / "builds/1/run.json").read_text())["tasks"]
    return {task["module"].partition("/")[0]: task["number"] for task in tasks}


def test_too_little_memory_or_time_is_said_and_jobs_can_be_cancelled(
    site: Site, place: Path, cluster: Cluster
) -> None:
    site = site.with_env(**cluster.env)
    hog = "import time; x = bytearray(700 << 20); time.sleep(30)"
    finish = f'def finish(self, box):\n    box.run(["python3", "-c", "{hog}"])'
    site.hello("hog", more=f'slurm = {{"memory": "300M"}}\n{finish}')
    for name in ("late", "endless"):
        site.hello(name, more=GATE.format(place=place, name=name))
    stacks = "hog, {spec: late, slurm: {time: 0:04}}, endless"
    path = write(site, f"slurm: {{memory: 500M, time: 60}}\nstacks: [{stacks}]\n")
    call = site.start("install", "--list", path, "--slurm", "--json")
    wait_for(lambda: (place / "endless.began").exists())
    assert (site.root / "builds/1/flags.json").stat().st_mode & 0o777 == 0o600
    wait_for(lambda: len(list((site.root / "builds/failed").glob("*.log"))) == 2)
    assert "1 job cancelled" in site("builds", "1", "--cancel").stderr
    answer = json.loads(call.communicate(timeout=60)[0])
    told = {row["module"]: row for row in answer["result"]["stacks"]}
    assert {name: row["state"] for name, row in told.items()} == {
        "hog/1.0": "out of memory",
        "late/1.0": "out of time",
        "endless/1.0": "stopped",
    }
    assert "300M" in told["hog/1.0"]["cause"] and "memory" in told["hog/1.0"]["remedy"]
    assert "0:04" in told["late/1.0"]["cause"] and "time" in told["late/1.0"]["remedy"]
    assert answer["code"] == 32
    assert not site.found()


def test_a_build_on_a_node_of_another_architecture_is_refused_before_anything_is_done(
    site: Site, cluster: Cluster
) -> None:
    site = site.with_env(**cluster.env, TYKKY_SLURM_ARCHITECTURES="[]")
    site.hello()
    path = write(site, "arch: aarch64\nstacks: [hello]\n")
    done = site("install", "--list", path, "--slurm", status=26)
    assert "hello is for aarch64, and n" in done.stderr
    assert "slurm.architectures" in done.stderr
    assert not (site.root / "store").exists() or not list((site.root / "store").iterdir())
    site = site.with_env(TYKKY_SLURM_ARCHITECTURES="aarch64=arm")
    # No node has that feature: nothing is begun without --keep-going, the others are with it.
    site.hello("above", more='needs = "hello"')
    site.hello("other")
    path = write(site, "stacks:\n  - {spec: hello, arch: aarch64, root: ./arm}\n  - other\n")
    with path.open("a") as file:
        file.write("  - {spec: above, arch: aarch64, root: ./arm}\n")
    words = ("install", "--list", path, "--slurm")
    refused = site(*words, status=32).stderr
    assert f"sbatch has refused the build of hello/1.0 ({path}:2): " in refused
    assert "feature" in refused and not site.found()
    assert not (site.root / "builds/2").exists()
    done = site(*words, "--keep-going", "--json", status=32)
    told = {row["module"]: row["state"] for row in json.loads(done.stdout)["result"]["stacks"]}
    assert told == {"hello/1.0": "failed", "above/1.0": "not begun", "other/1.0": "done"}
    assert (
        f"] failed hello/1.0: sbatch has refused the build of hello/1.0 ({path}:2)" in done.stderr
    )
    assert "run 2: 1 job submitted" in done.stderr
    assert site.json("builds")[0]["states"] == ["failed", "done", "not begun"]


def test_where_slurm_does_not_answer_its_words_are_said_and_no_run_is_left(
    site: Site, place: Path
) -> None:
    conf = place / "slurm.conf"
    munge = f"AuthInfo=socket={place}/none\nMessageTimeout=2\n"
    node = "NodeName=n1 NodeAddr=127.0.0.1\nPartitionName=main Nodes=ALL Default=YES\n"
    (port,) = slurm.free_ports(1)
    host = f"ClusterName=test\nSlurmctldHost=localhost(127.0.0.1)\nSlurmctldPort={port}\n"
    conf.write_text(f"{host}{munge}{node}")
    site = site.with_env(SLURM_CONF=str(conf))
    site.hello()
    path = write(site, "stacks: [hello]\n")
    words = ("install", "--list", path, "--slurm")
    refused = site(*words, status=32).stderr
    assert "Slurm does not answer: " in refused and "Unable to contact slurm" in refused
    builds = site.root / "builds"
    assert not [*builds.glob("[0-9]*")]
    # What a run has written is told all the same.
    (builds / "7").mkdir()
    task = {"number": 1, "spec": "x@1", "module": "x/1", "root": "/r", "arch": "x86_64"}
    run = {"list": "l", "user": getpass.getuser(), "host": "", "when": "", "cwd": "/"}
    run |= {"engine": "slurm", "process": 1, "tasks": [task, {**task, "number": 2}]}
    (builds / "7/run.json").write_text(json.dumps(run))
    (builds / "7/jobs.json").write_text('{"1": ["3_1", 7], "2": ["3_2", 7]}')
    (builds / "7/1.json").write_text('{"state": "failed", "code": 13}')
    told = site("builds")
    assert told.stderr.count("Slurm does not answer: ") == 1
    assert "1 failed, 1 waiting" in told.stdout
