"""MPI between commands of a stack: all ranks share one namespace, so single copies work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launcher.runtimes import differs
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


def mpirun(*words: str | Path, count: int = 4) -> subprocess.CompletedProcess[str]:
    options = ["--oversubscribe", "-n", str(count)]
    if os.getuid() == 0:
        options.append("--allow-run-as-root")
    return subprocess.run(["mpirun", *options, *words], capture_output=True, text=True, timeout=120)


@_ranks
def test_ranks_share_one_namespace_and_one_server(stack: Stack, entered_with: Runtime) -> None:
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
