from tykky import ContainerStack


class ClimateTools(ContainerStack):
    """Climate and weather data: CDO, NCO, netCDF, GRIB, xarray."""

    homepage = "https://code.mpimet.mpg.de/projects/cdo"
    license = "BSD-3-Clause AND Apache-2.0"
    versions = "12"
    image = "debian:image.txt"
    commands = (
        *("cdo", "grib_*", "bufr_*", "codes_*", "ncdump", "nccopy", "ncgen*", "python3*"),
        *("ncap2", "ncatted", "ncbo", "ncclimo", "ncdiff", "ncea", "ncecat", "nces", "ncflint"),
        *("ncks", "ncpdq", "ncra", "ncrcat", "ncremap", "ncrename", "ncwa"),
    )
    keywords = "climate", "weather", "netCDF", "GRIB", "xarray"

    def test(self, box):
        box.run("cdo --version && ncks --version && codes_info -v")
        box.run(
            """
            cdo -f nc4 -setname,t -addc,273.15 -topo,r36x18 earth.nc
            cdo remapbil,r72x36 earth.nc fine.nc
            ncks -O -d lat,0,17 fine.nc south.nc
            ncdump -h south.nc | grep 'lat = 18'
            cdo -f grb2 copy earth.nc earth.grb
            grib_ls earth.grb | grep -q regular_ll
            """,
            say="a field, made, interpolated, cut, and written as GRIB",
        )
        box.run(
            """
            python3 - << END
            import xarray

            south = xarray.open_dataset("south.nc")
            assert float(south.lat.max()) < 0
            assert south.t.mean("lon").shape == (18,)
            assert float(south.t.min()) < 273.15 < float(south.t.max())
            END
            """,
            say="the same field in xarray",
        )
