from tykky import ContainerStack


class REnv(ContainerStack):
    """R for statistics, with common packages, and compilers for others.

    Your packages go where R_LIBS_USER says; make that directory, and 'install.packages' uses it.
    """

    homepage = "https://docs.csc.fi/apps/r-env"
    license = "GPL-2.0-or-later"
    versions = "4.2"
    image = "debian:image.txt"
    family = "r_env"
    keywords = "R", "statistics"
    commands = "R", "Rscript"
    # One thread a process unless the user says more: a node is shared by many processes.
    setenv = {"OMP_NUM_THREADS": "1"}

    def test(self, box):
        box.run("Rscript -e 'stopifnot(R.version$major == \"4\")'")
        box.run(
            "Rscript -e 'library(dplyr); library(data.table); library(ggplot2); library(tidyr)'",
            say="packages",
        )
        box.run(
            "mkdir -p library demo/R"
            " && printf 'Package: demo\\nVersion: 1.0\\nTitle: T\\nLicense: MIT\\n'"
            " > demo/DESCRIPTION"
            " && echo 'export(f)' > demo/NAMESPACE && echo 'f <- function() 42' > demo/R/f.R"
            " && R CMD INSTALL --library=library demo"
            " && R_LIBS_USER=$PWD/library Rscript -e 'stopifnot(demo::f() == 42)'",
            say="a package of the user's own",
        )
