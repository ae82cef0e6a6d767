from tykky import PipStack, variant


class Jax(PipStack):
    """NumPy that differentiates and compiles, with Flax, Optax, Orbax.

    JAX, for machine learning and simulation. Without a choice, it computes on processors;
    '+cuda12' is for NVIDIA's GPUs: of the node, it needs the driver.
    """

    homepage = "https://docs.jax.dev"
    license = "Apache-2.0"
    versions = "0.10"
    python = "3.11"
    commands = "python*", "pip*"
    keywords = "machine learning", "neural networks", "automatic differentiation"
    family = "python_env"

    cuda12 = variant(False, help="for NVIDIA's GPUs, with CUDA 12; several gigabytes")

    @property
    def gpu(self):
        return "nvidia" if self.cuda12 else ""

    @property
    def packages(self):
        extra = "[cuda12]" if self.cuda12 else ""
        yield f"jax{extra}=={self.version}.*"
        yield from ("flax", "optax", "orbax-checkpoint")

    def test(self, box):
        box.run(
            """
            python - << END
            import jax
            import jax.numpy as np
            import optax

            f = jax.jit(lambda x: np.sum(np.sin(x) ** 2))
            x = np.linspace(0.0, 1.0, 7)
            assert np.allclose(jax.grad(f)(x), np.sin(2 * x), atol=1e-5)
            assert np.allclose(jax.vmap(f)(np.stack([x, 2 * x]))[1], f(2 * x), atol=1e-5)

            x = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
            y = x @ np.array([2.0, -1.0])
            loss = jax.jit(lambda w: np.mean((x @ w - y) ** 2))
            optimizer = optax.adam(0.1)
            w = np.zeros(2)
            state, before = optimizer.init(w), loss(w)
            for _ in range(200):
                change, state = optimizer.update(jax.grad(loss)(w), state)
                w = optax.apply_updates(w, change)
            assert loss(w) < 1e-2 < before, loss(w)
            END
            """,
            say="a gradient, compiled, and a fit",
        )
        box.run("python -c 'import flax.nnx, orbax.checkpoint'")
        if self.cuda12:
            # Where a stack is built, there need not be a GPU.
            box.run("python -c 'import jax_cuda12_plugin'")
