from tykky import CondaStack, variant


class PythonGeo(CondaStack):
    """Python for geoinformatics: vectors, rasters, point clouds, maps.

    GDAL, PDAL and PROJ with their programs, GeoPandas, Rasterio, Xarray, Dask and many more. Made
    of conda packages, because GDAL and PDAL have no wheels for Python.
    """

    homepage = "https://docs.csc.fi/apps/geoconda"
    license = "various open-source licences, 'list-packages' tells each"
    versions = "26.11"
    channels = "conda-forge"
    unlocked = "conda-forge must be reached to lock, plan or build it"
    commands = "python*", "pip*", "rio", "fio", "gdal*", "ogr*", "pdal", "dask*", "jupyter*"
    keywords = "Python", "GIS", "GDAL", "remote sensing", "maps"
    family = "python_env"
    # One thread a process unless the user says more: a node is shared by many processes.
    setenv = {"OMP_NUM_THREADS": "1"}

    jupyter = variant(True, help="JupyterLab, and a kernel for it")

    @property
    def packages(self):
        yield from ("python=3.12", "pip")
        yield from ("gdal", "libgdal-arrow-parquet", "pdal", "python-pdal", "proj", "geos")
        yield from ("geopandas", "pyogrio", "fiona", "shapely", "pyproj", "rtree", "mapclassify")
        yield from ("rasterio", "rioxarray", "rasterstats", "xarray-spatial", "scikit-image")
        yield from ("xarray", "netcdf4", "h5netcdf", "zarr", "cfgrib", "bottleneck")
        yield from ("dask", "distributed", "dask-geopandas", "dask-jobqueue")
        yield from ("laspy", "lazrs-python", "pystac-client", "odc-stac", "planetary-computer")
        yield from ("osmnx", "networkx", "momepy", "pysal", "scikit-learn", "numba")
        yield from ("matplotlib", "cartopy", "contextily", "folium", "metpy", "whitebox")
        yield from ("boto3", "s3fs", "openpyxl", "psycopg2", "ipython")
        if self.jupyter:
            yield from ("jupyterlab", "ipykernel", "ipyleaflet", "leafmap")

    def test(self, box):
        box.run(
            "python -c '"
            "import cartopy, dask_geopandas, fiona, geopandas, laspy, osmnx, pdal, pyproj,"
            " rasterio, rioxarray, shapely, xarray'",
            say="imports",
        )
        box.run(
            "python -c '"
            "import numpy, rasterio;"
            'raster = rasterio.open("a.tif", "w", driver="GTiff", width=2, height=2, count=1,'
            ' dtype="uint8", crs="EPSG:3067");'
            "raster.write(numpy.ones((1, 2, 2), numpy.uint8)); raster.close();"
            'assert rasterio.open("a.tif").read().sum() == 4\'',
            say="a raster, written and read",
        )
        # The data of PROJ and GDAL are found through what their packages set on activation.
        box.run("python -c 'import os; assert os.path.isdir(os.environ[\"GDAL_DATA\"])'")
        box.run("python -c 'import pyproj; pyproj.Transformer.from_crs(4326, 3067)'")
        for command in ("rio --version", "gdalinfo --version", "pdal --version"):
            box.run(command)
