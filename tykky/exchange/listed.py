"""The packages of an install as a file that pip or conda installs, and ``tykky create`` reads."""

from __future__ import annotations

from collections.abc import Sequence

from tykky.build.updating import lock_of
from tykky.errors import Exit, TykkyError
from tykky.lock import Package
from tykky.store import Record


def text(record: Record) -> str:
    """The file, with a digest of each package.

    Of a pip stack it is a requirements file, of a conda stack an explicit list, in which packages
    of pip are as conda-lock has them. Raises ``TykkyError`` for a stack that has no packages.
    """
    packages = lock_of(record).packages
    conda = [package for package in packages if package.is_conda]
    others = [p for p in packages if not p.is_conda and p.sha256 and _is_python(p)]
    if conda:
        lines = ["@EXPLICIT", *(f"{package.url}#{package.sha256}" for package in conda)]
        return _file(record, [*lines, *(f"# pip {_requirement(each, ' ')}" for each in others)])
    if not others:
        cause = f"{record.title} has no packages of an index"
        remedy = "a container or a directory is named by its own path or address"
        raise TykkyError(cause, remedy=remedy, code=Exit.USAGE)
    built = [f"--no-binary {each.name}" for each in others if not each.file.endswith(".whl")]
    return _file(record, [*built, *map(_requirement, others)])


def _is_python(package: Package) -> bool:
    return package.file.endswith((".whl", ".tar.gz", ".zip", ".tar.bz2"))


def _requirement(package: Package, between: str = " \\\n    ") -> str:
    what = f" @ {package.url}" if package.url else f"=={package.version}"
    return f"{package.name}{what}{between}--hash=sha256:{package.sha256}"


def _file(record: Record, lines: Sequence[str]) -> str:
    return "\n".join([f"# The packages of {record.title}, for {record.arch}.", *lines, ""])
