"""``RStack``: R packages from CRAN and Bioconductor, as they were on a day.

They are installed by the R of the base into a library of the stack's own, from files whose digests
are in the lock.
"""

from __future__ import annotations

from tykky.kinds.stack import Stack


class RStack(Stack):
    """R packages from CRAN, and from Bioconductor, in a library on top of the base's R.

    ``snapshot`` is the day (``2026-10-01``) that CRAN is taken from, ``bioconductor`` a release
    (``3.20``). ``packages`` are names, perhaps with a version: ``data.table>=1.15``,
    ``jsonlite==1.8.9``; what these need comes along. ``repositories`` are addresses of further
    repositories in the form of CRAN, which are asked first. With ``binaries``, the name that the
    package manager has for the base's distribution (``bookworm``), nothing is compiled; that needs
    ``r``, the version of the base's R (``4.4``), which is checked wherever it is said.
    ``user_library`` tells whether packages in the user's home count. ``unlocked`` says why no lock
    comes with the recipe, if none does.
    """

    r: str = ""
    snapshot: str = ""
    packages: tuple[str, ...] = ()
    bioconductor: str = ""
    repositories: tuple[str, ...] = ()
    binaries: str = ""
    user_library: bool = True
    unlocked: str = ""
    commands = ("R", "Rscript")
