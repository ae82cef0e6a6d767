from tykky import ContainerStack


class GeoTools(ContainerStack):
    """Tools for maps: GDAL and OGR, PROJ, and GRASS GIS."""

    homepage = "https://docs.csc.fi/apps/gdal"
    license = "MIT (GDAL, PROJ), GPL-2.0-or-later (GRASS GIS)"
    versions = "12"
    image = "debian:image.txt"
    keywords = "GIS", "GDAL", "GRASS", "maps", "raster", "vector"
    commands = "gdal*", "ogr*", "grass", "proj", "cs2cs", "projinfo", "python3*"

    def test(self, box):
        box.run("gdalinfo --version && ogrinfo --version && grass --version")
        box.run(
            "gdal_create -of GTiff -outsize 60 40 -bands 1 -burn 7 -ot Byte"
            " -a_srs EPSG:4326 -a_ullr 20 70 32 62 world.tif"
            " && gdalwarp -q -t_srs EPSG:3067 world.tif finland.tif"
            " && gdalinfo finland.tif | grep -q TM35FIN",
            say="a raster from degrees to metres",
        )
        box.run("python3 -c 'from osgeo import gdal; assert gdal.Open(\"finland.tif\")'")
        box.run(
            "grass --tmp-location finland.tif --exec r.info -g map=no-such-map 2>&1 | grep -qi map"
            " && grass --tmp-location finland.tif --exec g.region -g | grep -q rows",
            say="a session of GRASS",
        )
