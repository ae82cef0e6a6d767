from tykky import PipStack


class PythonChem(PipStack):
    """Molecules in Python: RDKit, Open Babel, MDAnalysis."""

    homepage = "https://www.rdkit.org"
    license = "BSD-3-Clause AND GPL-2.0-only AND LGPL-3.0-or-later"
    versions = "26.11"
    python = "3.11"
    commands = "python*", "pip*"
    keywords = "chemistry", "cheminformatics", "molecular dynamics", "RDKit", "Open Babel"
    family = "python_env"
    env = {"MPLBACKEND": "Agg"}
    setenv = {"OMP_NUM_THREADS": "1"}

    packages = "rdkit", "openbabel-wheel", "mdanalysis", "pandas", "scikit-learn"

    def test(self, box):
        box.run(
            """
            python - << END
            from rdkit import Chem
            from rdkit.Chem import AllChem, Descriptors

            aspirin = Chem.AddHs(Chem.MolFromSmiles("CC(=O)Oc1ccccc1C(=O)O"))
            assert abs(Descriptors.MolWt(aspirin) - 180.16) < 0.01
            assert AllChem.EmbedMolecule(aspirin, randomSeed=1) == 0
            assert AllChem.MMFFOptimizeMolecule(aspirin, maxIters=2000) == 0
            Chem.MolToPDBFile(aspirin, "aspirin.pdb")
            END
            """,
            say="aspirin, folded in three dimensions",
        )
        box.run(
            """
            python -W ignore - << END
            import MDAnalysis
            from MDAnalysis.analysis import rms
            from openbabel import pybel

            assert next(pybel.readfile("pdb", "aspirin.pdb")).formula == "C9H8O4"
            atoms = MDAnalysis.Universe("aspirin.pdb").atoms
            assert len(atoms) == 21
            assert rms.rmsd(atoms.positions, atoms.positions + 1.0, center=True) < 1e-3
            END
            """,
            say="the same molecule in Open Babel and MDAnalysis",
        )
