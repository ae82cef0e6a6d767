from tykky import PipStack


class Qiskit(PipStack):
    """Quantum circuits with Qiskit, and Aer to simulate them."""

    homepage = "https://www.ibm.com/quantum/qiskit"
    license = "Apache-2.0"
    versions = "2.6"
    python = "3.11"
    commands = "python*", "pip*"
    keywords = "quantum computing", "simulation"
    family = "python_env"
    env = {"MPLBACKEND": "Agg"}

    @property
    def packages(self):
        yield from (f"qiskit=={self.version}.*", "qiskit-aer")
        yield from ("matplotlib", "pylatexenc")

    def test(self, box):
        box.run(
            """
            python - << END
            from qiskit import QuantumCircuit, transpile
            from qiskit.quantum_info import Statevector
            from qiskit_aer import AerSimulator

            bell = QuantumCircuit(2)
            bell.h(0)
            bell.cx(0, 1)
            p = Statevector(bell).probabilities_dict()
            assert abs(p["00"] - 0.5) < 1e-9 and abs(p["11"] - 0.5) < 1e-9, p

            bell.measure_all()
            machine = AerSimulator(seed_simulator=1)
            counts = machine.run(transpile(bell, machine), shots=1000).result().get_counts()
            assert set(counts) == {"00", "11"} and min(counts.values()) > 400, counts
            bell.draw("mpl").savefig("bell.png")
            END
            """,
            say="two entangled qubits, and a picture of them",
        )
