from tykky import RStack


class RTidyverse(RStack):
    """R with the tidyverse: reading, tidying and plotting data, with a kernel for notebooks.

    Your own packages go into a library of this stack in your home, which R offers to make.
    """

    homepage = "https://www.tidyverse.org"
    license = "MIT"
    versions = "26.10"
    base = "debian:image.txt"
    snapshot = "2026-10-01"
    r = "4.5"
    packages = "tidyverse", "data.table>=1.15", "IRkernel"
    unlocked = "packagemanager.posit.co must be reached to lock, plan or build it"
    family = "r_env"
    keywords = "R", "statistics", "data", "plots"
    # One thread a process unless the user says more: a node is shared by many processes.
    setenv = {"OMP_NUM_THREADS": "1"}

    def test(self, box):
        box.run(
            "Rscript -e 'library(tidyverse); stopifnot(nrow(filter(mtcars, cyl == 4)) == 11)'",
            say="a filter",
        )
        box.run(
            'Rscript -e \'library(ggplot2); ggsave("plot.png", ggplot(mtcars, aes(mpg, hp)) +'
            " geom_point())' && test -s plot.png",
            say="a plot",
        )
