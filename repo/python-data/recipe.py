from tykky import PipStack, variant


class PythonData(PipStack):
    """Python for data analysis: arrays, tables, plots, notebooks.

    NumPy, SciPy, pandas, Polars, scikit-learn, statsmodels, Matplotlib, Dask, HDF5 and
    NetCDF. Without the variant 'jupyter' it has no notebooks and is smaller.
    """

    homepage = "https://docs.csc.fi/apps/python-data"
    license = "various open-source licences, see each package"
    versions = "26.11"
    python = "3.11"
    keywords = "Python", "data", "statistics", "machine learning", "Jupyter"
    family = "python_env"
    # One thread a process unless the user says more: a node is shared by many processes.
    setenv = {"OMP_NUM_THREADS": "1"}

    jupyter = variant(True, help="JupyterLab, and a kernel for it")

    @property
    def commands(self):
        yield from ("python*", "pip*", "dask*", "ipython*", "numba", "f2py")
        if self.jupyter:
            yield "jupyter*"

    @property
    def packages(self):
        yield from ("numpy", "scipy", "pandas", "polars", "pyarrow")
        yield from ("scikit-learn", "statsmodels", "xgboost-cpu", "numba")
        yield from ("matplotlib", "seaborn")
        yield from ("dask[complete]", "distributed", "dask-jobqueue")
        yield from ("h5py", "tables", "netcdf4", "openpyxl")
        yield "ipython"
        if self.jupyter:
            yield from ("jupyterlab", "ipykernel", "jupyter-resource-usage")

    def test(self, box):
        box.run(
            "python -c '"
            "import h5py, matplotlib, netCDF4, numba, numpy, pandas, polars, pyarrow, scipy.stats,"
            " seaborn, statsmodels.api, tables, xgboost'",
            say="imports",
        )
        box.run(
            "python -c '"
            "from sklearn.linear_model import LinearRegression;"
            "assert abs(LinearRegression().fit([[0], [1]], [0, 2]).coef_[0] - 2) < 1e-9'",
            say="a fit with scikit-learn",
        )
        # A job script must name a Python that the batch job will find.
        box.run(
            "python -c '"
            "import sys; from dask_jobqueue import SLURMCluster as C;"
            "assert sys.executable in"
            ' C(cores=1, memory="1GB", protocol="tcp", interface="lo").job_script()\'',
            say="a job script of dask-jobqueue",
        )
        box.run("dask --version")
        if self.jupyter:
            box.run("jupyter lab --version")
            box.run("jupyter kernelspec list")
