"""Stack lists through Slurm: two nodes of this machine, a job for each stack, no accounting."""

from __future__ import annotations

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
    while not pathlib.Path("{place}/open").exists():
        time.sleep(0.05)
"""


@pytest.fixture
def cluster(place: Path) -> Iterator[Cluster]:
    cluster = Cluster(place / "slurm")
    cluster.start()
    yield cluster
    cluster.stop()


def write(site: Site, text: str) -> Path:
    path = site.user.home / "site.yaml"
    path.write_text(text)
    path.chmod(0o644)
    return path


def test_twelve_stacks_on_two_nodes_with_a_kill_a_requeue_and_a_restart_of_slurmctld(
    site: Site, place: Path, cluster: Cluster
) -> None:
    site = site.with_env(**cluster.env)
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
    cluster.stop_controller()
    # The same list again joins what is under way, and submits nothing of it twice.
    follower = site.start("builds", "--follow", "--json")
    cluster.start_controller()
    wait_for(lambda: (place / "requeued.began").exists())
    before = set(cluster.jobs())
    again = site.start(*words, "--json")
    wait_for(lambda: (site.root / "builds/2/jobs.json").exists())
    (place / "open").touch()

    wanted = dict.fromkeys(names, "done")
    wanted |= {"bad1": "failed", "bad2": "failed", "killed": "failed", "onfailed": "not begun"}
    result = json.loads(follower.communicate(timeout=120)[0])
    told = {row["module"].partition("/")[0]: row for row in result["result"]}
    assert {name: row["state"] for name, row in told.items()} == wanted
    assert result["code"] == 32 or result["code"] == 13
    assert len({row["host"] for row in told.values()} - {""}) == 2
    for name in ("bad1", "bad2"):
        log = Path(told[name]["log"])
        assert log.parent == site.root / "builds/failed" and "exit 3" in log.read_text()
    joined = json.loads(again.communicate(timeout=120)[0])["result"]["stacks"]
    states = {row["module"].partition("/")[0]: row["state"] for row in joined}
    assert states["slow"] == states["requeued"] == "done"
    assert not {job for job in set(cluster.jobs()) - before if job in {*number.values()}}
    mine = json.loads((site.root / "builds/2/jobs.json").read_text())
    assert {
        str(row): jobs[str(row)] for name, row in rows(site).items() if name == "slow"
    }.items() <= mine.items()

    table = site(*words, status=None).stdout
    assert {line.split()[0] for line in table.splitlines()[1:] if " there already" in line} == {
        f"{name}/1.0" for name in names if wanted[name] == "done"
    } | {"killed/1.0"}
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
