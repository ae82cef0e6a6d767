from tykky import CondaStack, variant


class Qiime2(CondaStack):
    """Microbiome analysis that keeps track of where every result came from.

    Each distribution is a set of plugins for one field of work: 'amplicon' for marker genes,
    'metagenome' for shotgun sequencing, 'pathogenome' for the genomes of pathogens.
    """

    homepage = "https://qiime2.org"
    license = "BSD-3-Clause"
    versions = "2024.10"
    unlocked = (
        "packages.qiime2.org, conda-forge and bioconda must be reached to lock, plan or build it"
    )
    commands = "qiime", "python*", "biom"
    keywords = "bioinformatics", "microbiome", "metagenomics", "amplicon"
    # Matplotlib and Numba would write into a home that may be read-only in a job.
    env = {"MPLBACKEND": "Agg"}

    distribution = variant("amplicon", "metagenome", "pathogenome", help="which plugins")

    @property
    def channels(self):
        yield f"https://packages.qiime2.org/qiime2/{self.version}/{self.distribution}/released"
        yield from ("conda-forge", "bioconda")

    @property
    def packages(self):
        # A package that has nothing but what it depends on: the plugins of a distribution.
        yield f"qiime2-{self.distribution}={self.version}.*"

    def finish(self, box):
        # The command line's description of all plugins: half a minute if each user makes it.
        box.run("qiime dev refresh-cache")

    def test(self, box):
        box.run("qiime info")
        box.run("qiime tools list-types --tsv | grep FeatureTable")
