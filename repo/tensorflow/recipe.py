from tykky import PipStack, variant


class Tensorflow(PipStack):
    """TensorFlow and Keras for machine learning, with TensorBoard.

    Without a choice, it computes on processors; '+cuda12' is for NVIDIA's GPUs: of the node, it
    needs the driver.
    """

    homepage = "https://www.tensorflow.org"
    license = "Apache-2.0"
    versions = "2.21"
    python = "3.11"
    commands = "python*", "pip*", "tensorboard"
    keywords = "machine learning", "deep learning", "neural networks", "Keras"
    family = "python_env"
    # Else it says for each process which instructions the processor has.
    env = {"TF_CPP_MIN_LOG_LEVEL": "1"}

    cuda12 = variant(False, help="for NVIDIA's GPUs, with CUDA 12; several gigabytes")

    @property
    def gpu(self):
        return "nvidia" if self.cuda12 else ""

    @property
    def packages(self):
        if self.cuda12:
            yield f"tensorflow[and-cuda]=={self.version}.*"
        else:
            # On ARM, the ordinary one is for processors.
            yield f"tensorflow-cpu=={self.version}.*; platform_machine == 'x86_64'"
            yield f"tensorflow=={self.version}.*; platform_machine != 'x86_64'"
        yield from ("tensorboard", "pandas", "scikit-learn")

    def test(self, box):
        box.run(
            """
            python - << END
            import keras
            import numpy as np
            import tensorflow as tf

            keras.utils.set_random_seed(1)
            x = np.random.rand(256, 2)
            y = x @ [2.0, -1.0] + 0.5
            model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
            model.compile(keras.optimizers.Adam(0.1), "mse")
            losses = model.fit(x, y, epochs=30, verbose=0).history["loss"]
            assert losses[-1] < 0.01 < losses[0], losses
            model.save("line.keras")
            again = keras.models.load_model("line.keras")
            assert np.allclose(again.predict(x, verbose=0), model.predict(x, verbose=0))

            f = tf.function(lambda x: tf.reduce_sum(x * x), jit_compile=True)
            assert float(f(tf.range(5.0))) == 30
            END
            """,
            say="a fit, saved and loaded again, and a compiled function",
        )
        box.run("tensorboard --version")
