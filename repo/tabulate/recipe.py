from tykky import CondaStack


class Tabulate(CondaStack):
    """Tables from columns of text: the smallest stack of conda packages."""

    homepage = "https://github.com/astanin/python-tabulate"
    license = "MIT"
    versions = "0.9"
    channels = "conda-forge"
    packages = "python=3.11", "tabulate=0.9", "pip"
    unlocked = "conda-forge must be reached to lock, plan or build it"
    commands = "python*", "pip*", "tabulate"

    def test(self, box):
        box.run("printf '1 2\\n3 4\\n' | tabulate --format plain | grep '^3  4$'")
        box.run("python -c 'import os, sys; assert os.environ[\"CONDA_PREFIX\"] == sys.prefix'")
