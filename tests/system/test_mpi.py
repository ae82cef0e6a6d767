"""What a recipe says of MPI is looked for in what was built: real programs, compiled here."""

from __future__ import annotations

import shutil

import pytest

from tests.stacks import Site, recipe
from tykky.errors import Exit

pytestmark = pytest.mark.skipif(
    not shutil.which("mpicc"), reason="this machine has no Open MPI: tools/provision mpi"
)

#: Programs that are linked with the host's library, with one of the stack that is called like
#: MPICH's, and with none.
HOST = "echo '#include <mpi.h>\nint main(void) { return MPI_Init(0, 0); }' | mpicc -xc - -o bin/x"
OWN = """
echo '#include <string.h>
int MPI_Get_library_version(char *text, int *length)
{ strcpy(text, "MPICH Version:  9.9, and more"); return *length = 0; }' > m.c
gcc -shared -fPIC -Wl,-soname,libmpi.so.12 m.c -o lib/libmpi.so.12
echo 'int main(void) { return 0; }' > x.c
gcc -Wl,--no-as-needed x.c -o bin/x lib/libmpi.so.12 '-Wl,-rpath,$ORIGIN/../lib'
"""
NONE = "cp /bin/true bin/x"


def test_a_stack_has_the_mpi_that_its_recipe_speaks_of(site: Site) -> None:
    for number, (declared, script, said) in enumerate(
        [
            ("host", HOST, "Open MPI v"),
            ("own", OWN, "MPICH 9.9"),
            ("host", OWN, "says that its MPI is the host's, and the stack has one of its own"),
            ("own", HOST, "says that it brings its own MPI, and is linked with /"),
            ("host", NONE, "nothing in it is linked with one"),
        ]
    ):
        name = f"par{number}"
        body = f"mpi = {declared!r}\ncommands = 'x'\n_do = {script!r}\n"
        body += "def build(self, box):\n    box.run(f'cd {box.prefix}; mkdir bin lib; {self._do}')"
        recipe(site, body, name, "DiskStack")
        if not said.startswith(("Open MPI", "MPICH")):
            done = site("install", name, status=Exit.FINISH)
            assert said in done.stderr and "recipe.py:" in done.stderr
            assert site.found(name) == []
            continue
        site("install", name)
        launch = (site.generation(name) / "launch.conf").read_text()
        starts = ("pmi",) if declared == "own" else ("openmpi", "pmix")  # before 5, from 5 on
        assert any(f"\nmpi {start}\n" in launch for start in starts)
        assert ("\nmpi_library /" in launch) is (declared == "host")
        assert site("find", name, "--format", "{mpi}").stdout.startswith(said)
        assert said in site("info", name).stdout and said in site("info", f"{name}/1#1").stdout
