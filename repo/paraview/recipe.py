from tykky import ContainerStack


class Paraview(ContainerStack):
    """Large data in three dimensions, with a server or by scripts.

    ParaView: 'pvserver' for the client on your desk, of the same version; 'pvbatch' for scripts.
    """

    homepage = "https://www.paraview.org"
    license = "BSD-3-Clause"
    versions = "5.11"
    image = "debian:image.txt"
    # 'xvfb-run pvbatch' draws where there is no screen.
    commands = (
        *("paraview", "pvserver", "pvdataserver", "pvrenderserver"),
        *("pvbatch", "pvpython", "xvfb-run"),
    )
    keywords = "visualisation", "graphics", "VTK"

    def test(self, box):
        box.run("pvserver --version")
        box.run(
            """
            cat > surface.py << END
            from paraview.simple import *

            surface = Contour(Input=Wavelet(), ContourBy=["RTData"], Isosurfaces=[150])
            surface.UpdatePipeline()
            assert surface.GetDataInformation().GetNumberOfCells() > 100
            SaveData("surface.vtp", proxy=surface)
            Show(surface)
            SaveScreenshot("surface.png", ImageResolution=[200, 200])
            END
            xvfb-run -a pvbatch surface.py
            test -s surface.vtp
            test -s surface.png
            """,
            say="a surface in a field, and a picture of it",
        )
