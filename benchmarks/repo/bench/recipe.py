from tykky import PipStack


class Bench(PipStack):
    """A mid-sized environment, and a program that does nothing."""

    homepage = "https://numpy.org"
    license = "BSD-3-Clause"
    versions = ("1",)
    python = "3.11"
    packages = "numpy", "scipy"

    def finish(self, box):
        box.run(["cp", "/bin/true", box.prefix / "bin/true"])

    def test(self, box):
        box.run("python -c 'import scipy'")
