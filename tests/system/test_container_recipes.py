"""The recipes of images that come with Tykky, through their modules."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from textwrap import dedent

import pytest

from tests.stacks import Site, settle
from tests.support import DOWNLOADS, log_in, new_place, remove

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("mmdebstrap"), reason="mmdebstrap is not installed"),
]


@pytest.fixture(scope="module")
def biokit() -> Iterator[Site]:
    """A site with biokit; its image is made once on this machine."""
    place = new_place()
    site = settle(place, log_in(place)).with_env(TYKKY_BASES_DIR=str(DOWNLOADS / "bases"))
    site("install", "biokit")
    yield site
    remove(place)


def test_samtools_of_biokit_says_its_version(biokit: Site) -> None:
    assert biokit.lmod("module load biokit; samtools --version | head -n 1").stdout.startswith(
        "samtools 1."
    )


def test_pipeline_reads_and_writes_in_the_working_directory(biokit: Site) -> None:
    work = biokit.user.home / "run 1"
    work.mkdir()
    sequence = "ACGTTGCATGCCGATTACAGGCATCGATCGGATCCAGTTACGGATTCCAGTACCGGATATCGGCTAGCTAAC" * 3
    (work / "genome.fa").write_text(f">chr1\n{sequence}\n")
    (work / "read.fq").write_text(f"@r1\n{sequence[40:140]}\n+\n{'I' * 100}\n")
    script = """
        module load biokit
        bwa index genome.fa 2> log
        bwa mem genome.fa read.fq 2>> log | samtools sort -o out.bam - 2>> log
        samtools view -c -F 4 out.bam
        bedtools bamtobed -i out.bam | cut -f 1
    """
    assert biokit.lmod(dedent(script), cwd=work).stdout.split() == ["1", "chr1"]
    assert (work / "out.bam").stat().st_uid == work.stat().st_uid


def test_exit_codes_and_pipes_of_wrapped_programs_are_theirs(biokit: Site) -> None:
    script = """
        module load biokit
        set +e
        samtools view no-such-file.bam 2> /dev/null
        echo $?
        yes '>x' | head -n 100000 | seqtk seq - | head -n 1
        echo ${PIPESTATUS[@]:2:1}
    """
    first, line, second = biokit.lmod(dedent(script)).stdout.split("\n")[:3]
    assert first == "1"
    assert line == ">x"
    assert second in ("0", "141")  # 141: it was still writing when head had enough


def test_ranks_of_mpi_python_talk_through_the_mpi_of_the_host(site: Site) -> None:
    if not shutil.which("mpicc"):
        pytest.skip("Open MPI is not installed: tools/provision mpi")
    site("install", "mpi-python")
    (site.user.home / "sum.py").write_text(
        "from mpi4py import MPI\n"
        "total = MPI.COMM_WORLD.allreduce(MPI.COMM_WORLD.rank)\n"
        "assert total == 6, total\n"
        "print(MPI.Get_library_version().split(',')[0])\n"
    )
    run = "mpirun --oversubscribe -n 4 python sum.py"
    lines = site.lmod(f"module load mpi-python; {run}").stdout.splitlines()
    version = site.user.bash("mpirun --version | head -n 1 | grep -o '[0-9.]*$'").stdout.strip()
    assert len(lines) == 4
    assert all(version in line for line in lines)
