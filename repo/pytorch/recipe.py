from tykky import PipStack, variant

_CPU = "https://download.pytorch.org/whl/cpu/torch-{}%2Bcpu-cp311-cp311-manylinux_2_28_{}.whl"


class Pytorch(PipStack):
    """PyTorch: deep learning, with TensorBoard and a kernel for notebooks.

    Without a choice, it is the small build that computes on processors. '+cuda' is the one that
    also computes on NVIDIA's GPUs, with CUDA in it: of the node, it needs the driver.
    """

    homepage = "https://pytorch.org"
    license = "BSD-3-Clause"
    versions = "2.13.0"
    python = "3.11"
    commands = "python*", "pip*", "torchrun", "tensorboard"
    keywords = "machine learning", "deep learning", "GPU"
    # One thread a process unless the user says more: a node is shared by many processes.
    setenv = {"OMP_NUM_THREADS": "1"}

    cuda = variant(False, help="for NVIDIA's GPUs, with CUDA; several gigabytes")

    @property
    def gpu(self):
        return "nvidia" if self.cuda else ""

    @property
    def unlocked(self):
        return "" if self.cuda else "download.pytorch.org must be reached to lock, plan or build it"

    @property
    def packages(self):
        if self.cuda:
            yield f"torch=={self.version}"
        else:
            # The package index has builds with CUDA only.
            for machine in ("x86_64", "aarch64"):
                url = _CPU.format(self.version, machine)
                yield f"torch @ {url} ; platform_machine == '{machine}'"
        yield from ("numpy", "tensorboard", "ipykernel")

    def test(self, box):
        box.run(
            "python -c '"
            "import torch; x = torch.ones(3, 3, requires_grad=True); (x @ x).sum().backward();"
            " assert x.grad.sum() == 54'",
            say="a gradient",
        )
        # Where a stack is built, there need not be a GPU.
        built = "is not None" if self.cuda else "is None"
        box.run(
            f"python -c 'import torch; assert torch.version.cuda {built};"
            ' x = torch.ones(9, device="cuda" if torch.cuda.is_available() else "cpu");'
            " assert x.sum() == 9'",
            say="whatever the node has to compute on",
        )
        box.run("torchrun --help > help && tensorboard --version")
