from tykky import PipStack


class DaskMpi(PipStack):
    """Dask over MPI: tables and arrays larger than a node.

    'dask-mpi', or 'dask_mpi.initialize()' in a script, makes one rank the scheduler and the others
    workers. mpi4py is built against the MPI of this machine, as in 'mpi-python'.
    """

    homepage = "https://mpi.dask.org"
    license = "BSD-3-Clause"
    versions = "26.11"
    python = "3.11"
    base = "host"
    mpi = "host"
    source = "mpi4py"
    commands = "python*", "pip*", "dask*"
    keywords = "MPI", "parallel", "Dask", "big data"
    family = "python_env"
    setenv = {"OMP_NUM_THREADS": "1"}

    packages = (
        *("dask-mpi", "mpi4py", "dask[array,dataframe,distributed]", "dask-jobqueue"),
        *("numpy", "pandas", "pyarrow", "xarray", "zarr", "h5py", "netcdf4"),
    )

    def test(self, box):
        box.run("dask-mpi --help > /dev/null")
        box.run(
            """
            cat > sum.py << END
            import dask.array
            from dask.distributed import Client
            from dask_mpi import initialize

            initialize(interface="lo", nthreads=1, dashboard=False, local_directory="work")
            with Client() as client:
                client.wait_for_workers(2, timeout=300)
                print("sum", int(dask.array.ones((1000, 1000), chunks=250).sum().compute()))
            END
            export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
            mpirun --oversubscribe -n 4 python sum.py | tee out
            grep -x 'sum 1000000' out
            """,
            say="a scheduler, a client and two workers, each a rank",
        )
