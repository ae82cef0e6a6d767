"""Graphics processors: what a stack needs of the host's driver.

The devices are there anyway, since ``/dev`` is the host's in every stack. What is missing in an
image is the part of the driver that programs are linked with, which must be that of the host's
kernel module. Which node it will be is not known when a stack is installed, so every place where
the libraries may be is named, and those that are there are taken.
"""

from __future__ import annotations

from tykky.runtime.base import Bind, EnvAction, EnvChange

#: Where the driver's libraries appear inside.
_PLACE = "/.tykky-gpu"
_FOLDERS = ("/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")
#: The libraries of NVIDIA's driver that programs load: computing, management, and graphics.
_NVIDIA = (
    *("libcuda.so.1", "libnvidia-ml.so.1", "libnvidia-ptxjitcompiler.so.1", "libnvidia-nvvm.so.4"),
    *("libnvidia-opencl.so.1", "libnvidia-cfg.so.1", "libcudadebugger.so.1"),
    *("libnvidia-encode.so.1", "libnvidia-fbc.so.1", "libnvoptix.so.1", "libnvcuvid.so.1"),
    *("libEGL_nvidia.so.0", "libGLX_nvidia.so.0", "libnvidia-allocator.so.1"),
)
_NVIDIA_PROGRAMS = ("nvidia-smi", "nvidia-debugdump", "nvidia-persistenced")
#: The options of Apptainer for each kind of processor that there is.
KINDS = {"nvidia": "--nv", "amd": "--rocm"}
#: How what users choose begins (``gpu = variant("cpu", "cuda12", "rocm6")``), and the kind of it.
_CHOSEN = {"cuda": "nvidia", "rocm": "amd"}


def kind(chosen: str) -> str:
    """The kind of processors that a recipe's ``gpu`` means; none for ``cpu`` and the like."""
    kind = next((kind for begin, kind in _CHOSEN.items() if chosen.startswith(begin)), chosen)
    return kind if kind in KINDS else ""


def libraries(
    gpu: str, *, rooted: bool
) -> tuple[tuple[Bind, ...], tuple[EnvChange, ...], tuple[str, ...]]:
    """Binds and variables for the native runtime, and options for Apptainer.

    ``rooted`` tells whether the stack has a root of its own; in the host's, everything is there.
    """
    options = (KINDS[gpu],) if gpu else ()
    if not gpu or not rooted:
        return (), (), options
    if gpu == "amd":
        return (Bind("/opt/rocm", "/opt/rocm", optional=True),), (), options
    pairs = [(f"{folder}/{name}", f"{_PLACE}/{name}") for name in _NVIDIA for folder in _FOLDERS]
    pairs += [(f"/usr/bin/{name}", f"/usr/bin/{name}") for name in _NVIDIA_PROGRAMS]
    binds = tuple(Bind(source, target, optional=True) for source, target in pairs)
    return binds, (EnvChange(EnvAction.APPEND, "LD_LIBRARY_PATH", _PLACE),), options
