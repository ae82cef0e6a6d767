from tykky import ContainerStack, Version


class Metabat2(ContainerStack):
    """MetaBAT 2: genomes from metagenomes, by binning contigs.

    The image is that of BioContainers, held by its digest.
    """

    homepage = "https://bitbucket.org/berkeleylab/metabat"
    license = "BSD-3-Clause-LBNL"
    versions = Version(
        "2.15", digest="b35adaca1250056035bdd3e44b2503f877b2f1ab61841ef0e2675c8cdc75eed3"
    )
    commands = (
        *("metabat", "metabat1", "metabat2", "runMetaBat.sh"),
        *("jgi_summarize_bam_contig_depths", "contigOverlaps"),
        *("aggregateBinDepths.pl", "aggregateContigOverlapsByBin.pl", "merge_depths.pl"),
    )
    keywords = "bioinformatics", "metagenomics", "binning"

    @property
    def image(self):
        return f"docker://quay.io/biocontainers/metabat2@sha256:{self.version.digest}"

    def test(self, box):
        box.run("jgi_summarize_bam_contig_depths 2>&1 | grep -i usage")
        # Contigs of a small genome: enough for one bin, by what they are made of alone.
        box.run(
            r"""
            awk 'BEGIN {
                srand(1)
                for (n = 0; n < 60; n++) {
                    print ">contig" n
                    for (s = "", i = 0; i < 5000; i++) s = s substr("ACGT", 1 + int(4 * rand()), 1)
                    print s
                }
            }' > contigs.fa
            metabat2 -i contigs.fa -o bins/bin --seed 1 | tee log
            grep -q 'bins (.*) formed' log
            """,
            say="contigs, binned",
        )
