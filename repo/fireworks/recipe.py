from tykky import PipStack


class Fireworks(PipStack):
    """FireWorks: define, manage and execute scientific workflows.

    The commands need a MongoDB server of your own: 'lpad init' asks where it is.
    """

    homepage = "https://materialsproject.github.io/fireworks/"
    license = "BSD-3-Clause-LBNL"
    versions = "2.1"
    python = "3.11"
    commands = "lpad", "mlaunch", "qlaunch", "rlaunch", "python*", "pip*"
    keywords = "workflow", "MongoDB", "materials"

    packages = "fireworks==2.1.*", "pymongo>=4.6,<5"

    def test(self, box):
        box.run("lpad -v")
        box.run("qlaunch --help")
        box.run("python -c 'import fireworks, pymongo'")
