from tykky import PipStack


class Pennylane(PipStack):
    """Quantum circuits that can be differentiated, with Lightning."""

    homepage = "https://pennylane.ai"
    license = "Apache-2.0"
    versions = "0.45"
    python = "3.11"
    commands = "python*", "pip*"
    keywords = "quantum computing", "machine learning", "automatic differentiation"
    family = "python_env"
    env = {"MPLBACKEND": "Agg"}

    @property
    def packages(self):
        yield from (f"pennylane=={self.version}.*", f"pennylane-lightning=={self.version}.*")
        yield "matplotlib"

    def test(self, box):
        for device in ("default.qubit", "lightning.qubit"):
            box.run(
                f"""
                python - << END
                import pennylane as qml
                from pennylane import numpy as np

                @qml.qnode(qml.device("{device}", wires=2))
                def circuit(x):
                    qml.RX(x, wires=0)
                    qml.CNOT(wires=[0, 1])
                    return qml.expval(qml.PauliZ(1))

                x = np.array(0.7, requires_grad=True)
                assert abs(circuit(x) - np.cos(0.7)) < 1e-6
                assert abs(qml.grad(circuit)(x) + np.sin(0.7)) < 1e-6
                END
                """,
                say=f"a circuit and its derivative on {device}",
            )
