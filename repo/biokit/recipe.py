from tykky import ContainerStack


class Biokit(ContainerStack):
    """Everyday tools for sequences, their alignments and variants.

    SAMtools, BCFtools, HTSlib, BWA, Bowtie 2, minimap2, BEDTools, seqtk and VCFtools, as Debian
    has them.
    """

    homepage = "https://docs.csc.fi/apps/biokit"
    license = "various open-source licences, see each program"
    versions = "12"
    image = "debian:image.txt"
    keywords = "bioinformatics", "sequencing", "alignment", "variants"
    commands = (
        *("samtools", "bcftools", "bgzip", "tabix", "htsfile"),
        *("bwa", "bowtie2*", "minimap2"),
        *("bedtools", "*Bed", "bed*", "seqtk", "vcftools", "vcf-*"),
    )

    def test(self, box):
        for tool in ("samtools", "bcftools", "bedtools", "bowtie2", "minimap2", "vcftools"):
            box.run(f"{tool} --version")
        # Reads that are pieces of a small genome, aligned with two aligners, through pipes.
        box.run(
            r"""
            awk 'BEGIN {
                srand(1)
                for (i = 0; i < 2000; i++) s = s substr("ACGT", 1 + int(4 * rand()), 1)
                for (i = 0; i < 100; i++) q = q "I"
                print ">chr1\n" s > "genome.fa"
                for (i = 0; i < 50; i++)
                    print "@r" i "\n" substr(s, 1 + 30 * i, 100) "\n+\n" q > "reads.fq"
            }'
            bwa index genome.fa
            bwa mem genome.fa reads.fq | samtools sort -o bwa.bam -
            samtools index bwa.bam
            minimap2 -ax sr genome.fa reads.fq | samtools sort -o minimap.bam -
            for file in bwa.bam minimap.bam; do
                test "$(samtools view -c -F 4 $file)" = 50
            done
            bcftools mpileup -f genome.fa bwa.bam | bcftools call -mv | bcftools view -H | wc -l
            """,
            say="50 reads aligned with bwa and minimap2",
        )
        box.run("! samtools view no-such-file.bam", say="a failure is a failure")
