from tykky import CondaStack


class Esmvaltool(CondaStack):
    """ESMValTool: models of the Earth, compared with observations."""

    homepage = "https://esmvaltool.org"
    license = "Apache-2.0"
    versions = "2.15", "2.14"
    channels = "conda-forge"
    unlocked = "conda-forge must be reached to lock, plan or build it"
    commands = "esmvaltool", "python*", "Rscript", "cdo"
    keywords = "climate", "Earth system models", "CMIP", "evaluation"
    # Matplotlib would look for a screen.
    env = {"MPLBACKEND": "Agg"}

    @property
    def packages(self):
        # With the scripts in R and NCL that some of its recipes need.
        yield f"esmvaltool={self.version}.*"
        yield "cdo"

    def test(self, box):
        box.run("esmvaltool version")
        box.run("esmvaltool recipes list | grep recipe_python.yml", say="its recipes")
        box.run(
            """
            python - << END
            import iris.cube
            import numpy
            from esmvalcore.preprocessor import convert_units

            cube = iris.cube.Cube(numpy.array([273.15]), units="K")
            assert abs(convert_units(cube, "degrees_C").data[0]) < 1e-6
            END
            """,
            say="a step of its preprocessor",
        )
