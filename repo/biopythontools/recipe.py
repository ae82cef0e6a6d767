from tykky import PipStack


class BioPythonTools(PipStack):
    """Sequence analysis in Python: Biopython, pysam, Cutadapt, MultiQC.

    And WhatsHap and deepTools. Programs that are not Python (SAMtools, BWA, BEDTools and others)
    are in 'biokit'; both can be loaded at the same time.
    """

    homepage = "https://biopython.org"
    license = "LicenseRef-Biopython-License-Agreement AND MIT AND GPL-3.0-only"
    versions = "26.11"
    python = "3.11"
    commands = (
        *("python*", "pip*", "cutadapt", "multiqc", "whatshap"),
        *("bam[A-Z]*", "bigwig[A-Z]*", "compute[A-Z]*", "plot[A-Z]*"),
        *("alignmentSieve", "multiBamSummary"),
    )
    keywords = "bioinformatics", "sequencing", "quality control", "phasing", "ChIP-seq"
    source = "deeptoolsintervals"
    # Matplotlib would look for a screen.
    env = {"MPLBACKEND": "Agg"}

    packages = (
        *("biopython", "pysam", "cutadapt", "multiqc", "whatshap"),
        # 4.0 has no wheel for this Python.
        "deeptools<4",
    )

    def test(self, box):
        box.run(
            """
            python - << END
            import pysam

            head = {"HD": {"VN": "1.6"}, "SQ": [{"SN": "chr1", "LN": 5000}]}
            with pysam.AlignmentFile("reads.bam", "wb", header=head) as reads:
                for at in (3000, 20, 1000):
                    fields = f"r{at} 0 chr1 {at} 60 100M * 0 0 {'ACGT' * 25} {'I' * 100}".split()
                    reads.write(pysam.AlignedSegment.fromstring("\\t".join(fields), reads.header))
            pysam.sort("-o", "sorted.bam", "reads.bam")
            pysam.index("sorted.bam")
            found = pysam.AlignmentFile("sorted.bam").fetch("chr1", 900, 4000)
            assert [read.query_name for read in found] == ["r1000", "r3000"]
            END
            """,
            say="alignments, written, sorted and found again",
        )
        box.run(
            """
            bamCoverage -b sorted.bam -o cover.bedgraph -of bedgraph --binSize 100
            awk '$4 > 0 { n += $3 - $2 } END { exit n < 300 }' cover.bedgraph
            """,
            say="coverage with deepTools",
        )
        box.run(
            r"""
            mkdir qc
            printf '@r\nTTTTTTTTTTTTAGATCGGAAGAGC\n+\nIIIIIIIIIIIIIIIIIIIIIIIII\n' |
                cutadapt -a AGATCGGAAGAGC --json qc/sample.cutadapt.json - 2> log |
                grep -x TTTTTTTTTTTT
            multiqc --quiet qc
            grep -q sample multiqc_report.html
            """,
            say="an adapter cut off, and a report of it",
        )
        box.run(
            """
            python - << END
            from Bio.Align import PairwiseAligner

            assert PairwiseAligner(mode="local").score("GATTACA", "TTAC") == 4
            END
            whatshap --version
            """,
            say="an alignment with Biopython",
        )
