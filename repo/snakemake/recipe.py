from tykky import PipStack


class Snakemake(PipStack):
    """Snakemake: reproducible and scalable data analyses as workflows.

    With the executor plugins for Slurm ('--executor slurm') and for other batch systems
    ('--executor cluster-generic').
    """

    homepage = "https://snakemake.readthedocs.io"
    license = "MIT"
    versions = "9", "8"
    python = "3.11"
    commands = "snakemake", "python*", "pip*"
    keywords = "workflow", "Slurm"
    source = "connection-pool", "stopit"

    @property
    def packages(self):
        yield f"snakemake=={self.version}.*"
        yield from ("snakemake-executor-plugin-slurm", "snakemake-executor-plugin-cluster-generic")
        yield "pandas"

    def test(self, box):
        box.run("snakemake --version")
        box.run(
            'printf \'rule all:\\n    output: "hello.txt"\\n    shell: "echo hi > {output}"\\n\''
            " > Snakefile"
        )
        box.run("snakemake --cores 1 && test -s hello.txt", say="a workflow of one rule")
        box.run("head -n 1 $(command -v snakemake) > /dev/null")
