"""MPI between commands of a stack: all ranks share one namespace, so single copies work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launcher.runtimes import differs, once
from tests.launcher.stacks import Stack, make_stack
from tests.support import new_place, remove
from tykky.runtime.base import Runtime

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("mpirun"), reason="this machine has no Open MPI"),
]

EXCHANGE = """
from mpi4py import MPI
import os
world = MPI.COMM_WORLD
data = bytearray(os.urandom(8 << 20)) if world.rank == 0 else bytearray(8 << 20)
world.Bcast([data, MPI.BYTE], root=0)
spaces = world.allgather((os.readlink("/proc/self/ns/user"), os.readlink("/proc/self/ns/mnt")))
sums = world.allgather(hash(bytes(data)))
if world.rank == 0:
    print(world.size, len(set(spaces)))
"""


_ranks = differs(
    "ranks of an MPI program on one node",
    native="share a namespace, so that large messages are copied once",
    apptainer="have a container each: large messages are copied twice, and Open MPI is told so "
    "(`OMPI_MCA_btl_vader_single_copy_mechanism=none`, unless it is set)",
)


@pytest.fixture(scope="module")
def stack(entered_with: Runtime) -> Iterator[Stack]:
    place = new_place()
    yield make_stack(place / "stack", packages=["mpi4py"], runtime=entered_with)
    remove(place)


_BY_OPEN_MPI = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0", "PMIX_RANK": "0"}
_BY_MPICH = {"PMI_SIZE": "2", "PMI_RANK": "0", "PMI_FD": "9", "MPI_LOCALNRANKS": "2"}
_BY_SLURM = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0", "SLURM_STEP_ID": "0"}
_WITH_PMI = {**_BY_SLURM, "PMI_SIZE": "2", "PMI_RANK": "0", "PMI_FD": "9"}


@once("the environment is looked at before the runtime matters")
@pytest.mark.parametrize(
    ("start", "silent", "said"),
    [
        # Open MPI 4 ends with an error of its own where srun gives it no PMIx.
        ("openmpi", (_BY_OPEN_MPI, _BY_SLURM, _WITH_PMI), (_BY_MPICH,)),
        ("pmix", (_BY_OPEN_MPI, {**_BY_SLURM, "PMIX_RANK": "0"}), (_BY_MPICH, _BY_SLURM)),
        ("pmi", (_BY_MPICH, _WITH_PMI), (_BY_OPEN_MPI, _BY_SLURM)),
        ("slurm", (_BY_MPICH, _BY_SLURM), (_BY_OPEN_MPI, {**_BY_SLURM, **_BY_OPEN_MPI})),
    ],
)
def test_what_the_mpi_of_a_stack_does_not_understand_is_said_by_the_first_rank(
    stack: Stack, start: str, silent: tuple[dict[str, str], ...], said: tuple[dict[str, str], ...]
) -> None:
    changed = stack.change(mpi=start)
    for variables, lines in [*((each, 0) for each in silent), *((each, 1) for each in said)]:
        for rank, size in (("0", "2"), ("1", "2"), ("0", "1")):
            env = variables | {n: rank for n in variables if n.endswith(("_RANK", "_PROCID"))}
            env |= {n: size for n in variables if n.endswith(("_SIZE", "_TASKS"))}
            done = changed.run("python", "-c", "", env={**os.environ, **env})
            expected = lines if (rank, size) == ("0", "2") else 0
            assert done.stderr.count("as rank 0 of 1") == len(done.stderr.splitlines()) == expected
    stack.change()


@once("the same")
def test_a_node_without_the_library_is_named_before_mpirun_starts_n_times_one(
    stack: Stack, place: Path
) -> None:
    missing = stack.change(mpi="openmpi", mpi_library=place / "libmpi.so.99")
    program = [missing.command("python"), "-c", ""]
    done = mpirun(*program, count=2)
    assert (done.returncode, done.stderr.count("this node has not the MPI of")) == (0, 1)
    assert missing.run("python", "-c", "").stderr == ""
    (place / "libmpi.so.99").touch()  # as where a module of the site has set where it is
    moved = stack.change(mpi="openmpi", mpi_library=Path("/nowhere/libmpi.so.99"))
    done = mpirun("-x", f"LD_LIBRARY_PATH=/none::{place}", moved.command("python"), "-c", "")
    assert (done.returncode, "this node" in done.stderr) == (0, False)
    stack.change()


def mpirun(*words: str | Path, count: int = 4) -> subprocess.CompletedProcess[str]:
    options = ["--oversubscribe", "-n", str(count)]
    if os.getuid() == 0:
        options.append("--allow-run-as-root")
    return subprocess.run(["mpirun", *options, *words], capture_output=True, text=True, timeout=120)


@_ranks
def test_ranks_share_one_namespace_and_one_server(stack: Stack, entered_with: Runtime) -> None:
    assert stack.is_gone()  # what the tests before have started
    done = mpirun(stack.command("python"), "-c", EXCHANGE)
    native = entered_with is Runtime.NATIVE
    assert done.stdout.split() == ["4", "1" if native else "4"], done.stderr
    assert len(stack.processes("squashfuse_ll")) == (1 if native else 0)
    assert stack.is_gone()


@_ranks
@pytest.mark.skipif(not shutil.which("strace"), reason="this machine has no strace")
def test_large_messages_are_copied_once(stack: Stack, place: Path, entered_with: Runtime) -> None:
    """Open MPI reads the memory of the other rank; between separate containers it may not."""
    trace = ["strace", "-f", "-qq", "-e", "trace=process_vm_readv,process_vm_writev"]
    script = f'exec {" ".join(trace)} -o {place}/rank.$OMPI_COMM_WORLD_RANK "$@"'
    program = [stack.command("python"), "-c", EXCHANGE]
    done = mpirun("sh", "-c", script, "sh", *program, count=2)
    assert done.returncode == 0, done.stderr
    copied = re.findall(
        r"process_vm_(?:readv|writev)\(.*= (-?\d+)",
        "".join(path.read_text() for path in place.glob("rank.*")),
    )
    once = sum(int(size) for size in copied) >= 8 << 20
    assert once is (entered_with is Runtime.NATIVE)
    assert "user namespace" not in done.stderr
