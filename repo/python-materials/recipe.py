from tykky import PipStack


class PythonMaterials(PipStack):
    """Atoms and crystals in Python: ASE, pymatgen, phonopy, spglib.

    They prepare calculations, and read what came out; codes such as VASP or CP2K are not in it.
    """

    homepage = "https://ase-lib.org"
    license = "LGPL-2.1-or-later AND MIT AND BSD-3-Clause"
    versions = "26.11"
    python = "3.11"
    commands = "ase", "pmg", "phonopy*", "python*", "pip*"
    keywords = "materials", "chemistry", "DFT", "crystals", "phonons"
    family = "python_env"
    env = {"MPLBACKEND": "Agg"}
    setenv = {"OMP_NUM_THREADS": "1"}

    packages = "ase", "pymatgen", "phonopy", "spglib", "seekpath", "h5py"

    def test(self, box):
        box.run(
            """
            python - << END
            from ase.build import bulk
            from ase.calculators.emt import EMT
            from ase.filters import UnitCellFilter
            from ase.optimize import BFGS
            from pymatgen.core import Structure

            copper = bulk("Cu", "fcc", a=3.8, cubic=True)
            copper.calc = EMT()
            assert BFGS(UnitCellFilter(copper), logfile=None).run(fmax=0.01, steps=100)
            assert abs(copper.cell.lengths()[0] - 3.59) < 0.02, copper.cell
            copper.write("POSCAR", direct=True)

            group = Structure.from_file("POSCAR").get_space_group_info(symprec=1e-3)
            assert group == ("Fm-3m", 225), group
            END
            """,
            say="copper, relaxed, and its symmetry",
        )
        box.run("ase --version && pmg structure -f POSCAR -s 0.001 | grep Fm-3m", say="commands")
        box.run("phonopy-init -d --dim 2 2 2 -c POSCAR && test -s POSCAR-001", say="phonons")
