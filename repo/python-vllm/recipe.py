from tykky import PipStack


class PythonVllm(PipStack):
    """vLLM: large language models on NVIDIA's GPUs."""

    homepage = "https://docs.vllm.ai"
    license = "Apache-2.0"
    versions = "0.21"
    python = "3.11"
    commands = "vllm", "python*", "pip*", "hf", "ray", "torchrun"
    keywords = "large language models", "inference", "machine learning", "PyTorch"
    family = "python_env"
    gpu = "nvidia"
    slurm = {"time": 90, "memory": "32G", "cpus": 8}
    # Models are what the user says; nothing is told to anybody.
    env = {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}

    @property
    def packages(self):
        yield f"vllm=={self.version}.*"
        yield "ray[default]"

    def test(self, box):
        box.run("vllm --version")
        box.run(
            """
            python - << END
            import torch
            from vllm import LLM, SamplingParams

            assert torch.version.cuda and SamplingParams(max_tokens=4).max_tokens == 4
            END
            """,
            say="imports",
        )
