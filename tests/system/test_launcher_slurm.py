"""Under a real Slurm of one node: each step has its own mount, and nothing outlives the jobs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launcher.runtimes import native_only
from tests.launcher.stacks import Stack, make_stack, wait_for
from tykky.runtime.base import Runtime


def slurm_runs() -> bool:
    if not shutil.which("sinfo"):
        return False
    states = subprocess.run(
        ["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True, timeout=30
    ).stdout
    return any(state in states for state in ("idle", "mix", "alloc"))


def kills_keepers() -> bool:
    """Whether Slurm kills all that a step has started, so that the next keeper cleans up."""
    shown = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True)
    return "proctrack/cgroup" in shown.stdout


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not slurm_runs(), reason="no Slurm runs on this machine"),
]


@pytest.fixture
def stack(place: Path, monkeypatch: pytest.MonkeyPatch, entered_with: Runtime) -> Iterator[Stack]:
    # A registry of the test's own, so that what is left in it can only be of these jobs.
    registry = place / "registry"
    registry.mkdir(mode=0o700)
    monkeypatch.setenv("TYKKY_RUNTIME_DIR", str(registry))
    stack = make_stack(place / "stack", runtime=entered_with)
    yield stack
    assert stack.is_gone(40)
    if kills_keepers():
        stack.run("true")
        assert stack.is_gone(40)
    assert wait_for(lambda: not list(registry.iterdir()))


def submit(place: Path, script: str, name: str, *options: str) -> str:
    file = place / f"{name}.sh"
    file.write_text(f"#!/bin/bash\n{script}\n")
    output = ["--output", place / f"{name}.out", "--chdir", place]
    done = subprocess.run(
        ["sbatch", "--parsable", *output, *options, file], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def cancel(*words: str) -> None:
    subprocess.run(["scancel", *words], check=True)


def is_over(job: str) -> bool:
    done = subprocess.run(["squeue", "--noheader", "--job", job], capture_output=True, text=True)
    return not done.stdout.strip()


def test_a_job_that_ends_leaves_another_on_the_node_unharmed(
    stack: Stack, place: Path, entered_with: Runtime
) -> None:
    python = stack.command("python")
    first = submit(place, f"{python} -c 'import time; time.sleep(99)'", "first")
    code = (
        "import os, sys, time; open('started', 'w').close()\n"
        "while not os.path.exists('go-on'): time.sleep(0.1)\n"
        "import colorsys; print('unharmed', flush=True)"
    )
    second = submit(place, f'{python} -c "{code}"', "second")
    try:
        assert wait_for(lambda: (place / "started").exists(), 60)
        if entered_with is Runtime.NATIVE:
            assert wait_for(lambda: len(stack.processes("squashfuse_ll")) == 2)
        cancel(first)
        assert wait_for(lambda: is_over(first), 60)
        (place / "go-on").touch()
        assert wait_for(lambda: is_over(second), 60)
        assert (place / "second.out").read_text() == "unharmed\n"
    finally:
        cancel(first, second)


def test_a_signal_of_scancel_reaches_the_program_and_not_the_server(
    stack: Stack, place: Path
) -> None:
    code = (
        "import signal, sys\n"
        "def got(*_):\n"
        "    import colorsys; print('checkpoint', flush=True); sys.exit(0)\n"
        "signal.signal(signal.SIGUSR1, got); open('started', 'w').close()\n"
        "while True: signal.pause()\n"
    )
    (place / "program.py").write_text(code)
    job = submit(place, f"srun {stack.command('python')} program.py", "job")
    try:
        assert wait_for(lambda: (place / "started").exists(), 60)
        cancel("--signal=USR1", job)
        assert wait_for(lambda: is_over(job), 60)
        assert "checkpoint" in (place / "job.out").read_text()
    finally:
        cancel(job)


@native_only(
    "tasks of a Slurm job",
    native="share within a step, not between steps",
    apptainer="have a container each",
)
def test_the_tasks_of_a_step_share_and_steps_do_not(stack: Stack, place: Path) -> None:
    seen = place / "seen"
    seen.mkdir()
    # All at the same time: the number of a namespace that has ended may be given to another.
    show = (
        "readlink /proc/self/ns/mnt >$0/step$SLURM_STEP_ID.$SLURM_PROCID; "
        "until [ $(ls $0 | wc -l) = 4 ]; do sleep 0.1; done"
    )
    run = f"{stack.command('sh')} -c '{show}' {seen}"
    script = f"srun -n2 --overlap --overcommit {run} &\nsrun -n1 --overlap {run} &\n{run}\nwait"
    job = submit(place, script, "job", "--ntasks=2", "--overcommit")
    assert wait_for(lambda: is_over(job), 90)
    shown = [path.read_text() for path in seen.iterdir()]
    assert len(shown) == 4, (place / "job.out").read_text()
    assert sorted(map(shown.count, set(shown))) == [1, 1, 2]


def test_a_cancelled_step_ends_the_program_itself(stack: Stack, place: Path) -> None:
    code = "import os, time; open('started', 'w').write(str(os.getpid())); time.sleep(600)"
    job = submit(place, f'srun {stack.command("python")} -c "{code}"', "job")
    try:
        assert wait_for(lambda: (place / "started").exists(), 60)
        pid = int((place / "started").read_text())
    finally:
        cancel(job)
    assert wait_for(lambda: is_over(job), 60)
    assert wait_for(lambda: not Path(f"/proc/{pid}").exists())
