from tykky import PipStack


class MpiPython(PipStack):
    """Python with mpi4py, built against the MPI of this machine.

    Its programs start with the machine's own 'mpirun' or 'srun'; the MPI library is the host's,
    so the stack is for the machine that it was installed on. Sites where MPI is a module name it
    in 'loads', in a recipe that extends this one.
    """

    homepage = "https://mpi4py.readthedocs.io"
    license = "BSD-3-Clause"
    versions = "3.11"
    python = "3.11"
    base = "host"
    mpi = "host"
    packages = "mpi4py", "numpy"
    source = "mpi4py"
    commands = "python*", "pip*"
    keywords = "MPI", "parallel"

    def test(self, box):
        box.run(
            "python -c 'from mpi4py import MPI; print(MPI.Get_library_version())'",
            say="the MPI library",
        )
        box.run(
            "mpirun --version > /dev/null && OMPI_ALLOW_RUN_AS_ROOT=1"
            " OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe -n 4"
            " python -m mpi4py.bench helloworld | sort | tee out && test $(grep -c Hello out) = 4",
            say="four ranks",
        )
