"""Stacks of R packages: locked from a repository, installed by the base's R, used as R users do."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import platform
import random
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import serve
from tests.stacks import Site, settle
from tests.support import DOWNLOADS, log_in, new_place, remove
from tests.system.test_container_recipes import pytestmark as pytestmark
from tykky.errors import Exit

BASE = "suite bookworm\npackages r-base-core gcc libc6-dev make\n"
CODE = "#include <Rinternals.h>\nSEXP turn(SEXP x) { return Rf_ScalarReal(-Rf_asReal(x)); }\n"
HELP = "\\name{turn}\\alias{turn}\\title{Turns}\\description{Turns a number.}\\usage{turn(x)}"
RUDDER = {
    "NAMESPACE": "useDynLib(rudder, C_turn = turn)\nexport(turn)\n",
    # As some packages do: it must not be another in each build.
    "R/turn.R": "turn <- function(x) .Call(C_turn, x)\nbuilt_by <- Sys.getpid()\n",
    "man/turn.Rd": HELP,
    "src/turn.c": CODE,
    "inst/chart": "".join(random.Random(1).choices("abcdefghijklmnop", k=20_000)),
}
BOAT = {
    "NAMESPACE": "export(steer)\nimportFrom(rudder, turn)\n",
    "R/steer.R": "steer <- function(x) turn(x) + 1\n",
}
RECIPE = """\
from tykky import RStack


class Sailing(RStack):
    '''Packages of R.'''

    homepage = "https://example.org"
    license = "MIT"
    versions = "1"
    base = "debian:image.txt"
    snapshot = "2026-10-01"
"""


def package(name: str, version: str, files: dict[str, str], **said: str) -> bytes:
    """The source package of this name; ``said`` is what its DESCRIPTION says besides."""
    said = {"Title": "T", "Description": "D.", "Author": "A", "Maintainer": "A <a@b.c>"} | said
    head = {"Package": name, "Version": version, "License": "GPL (>= 2)", **said}
    about = "".join(f"{key}: {value}\n" for key, value in head.items())
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for path, text in {"DESCRIPTION": about, "NAMESPACE": "", **files}.items():
            member = tarfile.TarInfo(f"{name}/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


def description(data: bytes) -> str:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        stream = archive.extractfile(archive.getmembers()[0])
        assert stream is not None
        return stream.read().decode() + f"MD5sum: {hashlib.md5(data).hexdigest()}\n"


def lay(contrib: Path, *packages: bytes) -> None:
    """Make a repository of packages, with its index."""
    contrib.mkdir(parents=True)
    for data in packages:
        said = dict(line.split(": ", 1) for line in description(data).splitlines())
        (contrib / f"{said['Package']}_{said['Version']}.tar.gz").write_bytes(data)
    (contrib / "PACKAGES").write_text("\n".join(map(description, packages)))


@pytest.fixture(scope="module")
def sea() -> Iterator[Site]:
    """A site with repositories like CRAN and Bioconductor; the base is made once on this machine.

    The stack ``sailing`` is locked and installed, and no test may change it.
    """
    place = new_place()
    lay(
        place / "cran/src/contrib",
        package("rudder", "0.9-1", RUDDER, NeedsCompilation="yes"),
        package("boat", "1.10", BOAT, Depends="R (>= 3.5)", Imports="rudder (>= 0.9), stats"),
        package("raft", "1.0", {}, Imports="Biosea, boat"),
        package("ark", "1.0", {}, Depends="R (>= 99.1)"),
        package("wreck", "1.0", {"src/a.c": "#include <plank.h>"}, SystemRequirements="libplank"),
        package("altered", "1.0", {}),
    )
    contrib = place / "cran/src/contrib"
    with (contrib / "altered_1.0.tar.gz").open("ab") as stream:
        stream.write(b"more")
    (contrib / "Archive/rudder").mkdir(parents=True)
    old = package("rudder", "0.8", RUDDER, NeedsCompilation="yes")
    (contrib / "Archive/rudder/rudder_0.8.tar.gz").write_bytes(old)
    for part in ("bioc", "data/annotation", "data/experiment"):
        folder = place / "bioc/packages/3.16" / part / "src/contrib"
        name = f"Bio{part[-4:]}" if "/" in part else "Biosea"
        lay(folder, package(name, "1.0", {}, License="Artistic-2.0", biocViews="Infrastructure"))
    site = settle(place, log_in(place)).with_env(
        TYKKY_BASES_DIR=str(DOWNLOADS / "bases"),
        TYKKY_R_CRAN=f"file://{place}/cran",
        TYKKY_R_BIOCONDUCTOR=f"file://{place}/bioc",
    )
    sailing(site, 'packages = "boat>=1.9", "Biosea"\nbioconductor = "3.16"')
    site("lock", "sailing")
    site("install", "sailing")
    yield site
    remove(place)


def sailing(site: Site, more: str, name: str = "sailing") -> None:
    """Write a recipe with further lines."""
    lines = "".join(f"    {line}\n" for line in more.splitlines())
    file = site.write(name, RECIPE + lines)
    file.with_name("image.txt").write_text(BASE)


def locked(site: Site, name: str) -> dict[str, str]:
    (path,) = (site.repo / name / "locks").iterdir()
    return {row["name"]: row["version"] for row in json.loads(path.read_text())["packages"]}


def test_packages_and_what_they_need_are_installed_from_a_lock(sea: Site) -> None:
    assert locked(sea, "sailing") == {"boat": "1.10", "rudder": "0.9-1", "Biosea": "1.0"}
    script = """
        export R_LIBS_SITE=/nowhere R_HOME=/nowhere
        module load sailing
        Rscript -e 'cat(boat::steer(3), .libPaths(), Sys.getenv("R_LIBS_SITE"), sep = "\\n")'
    """
    found, library, *rest = sea.lmod(script).stdout.splitlines()
    assert (found, library) == ("-2", f"{sea.prefix('sailing')}/lib/R/library")
    assert rest == ["/usr/lib/R/library", library]  # and none of the base's site
    rows = [json.loads(sea("sbom", "sailing").stdout)][0]["components"]
    about = {row.get("purl"): row.get("licenses") for row in rows}
    assert about["pkg:cran/rudder@0.9-1"][0]["expression"] == "GPL-2.0-or-later"
    assert "pkg:bioconductor/Biosea@1.0" in about
    listed = json.loads((sea.generation("sailing") / "packages.json").read_text())
    shown = {row["name"]: row["why"] for row in listed if row["type"] != "deb"}
    assert shown == {"boat": "asked", "Biosea": "asked", "rudder": "needed"}
    assert sea.json("which", "rudder")[0]["module"] == "sailing/1"


def test_packages_of_a_user_go_into_a_library_of_the_stack_in_their_home(sea: Site) -> None:
    library = sea.user.home / f"R/sailing-1/{platform.machine()}/4.2"
    script = f"""
        module load sailing
        install='install.packages("raft", repos = "file://{sea.repo.parent}/cran", quiet = TRUE)'
        printf '%s\\nyes\\nyes\\n' "$install" | R --interactive --no-save --quiet
        Rscript -e 'cat(.libPaths()[1:2], sep = "\\n"); library(raft)'
    """
    said = sea.lmod(script).stdout.splitlines()[-2:]
    assert said == [str(library), f"{sea.prefix('sailing')}/lib/R/library"]
    assert (library / "raft/DESCRIPTION").exists()
    sailing(sea, 'packages = "rudder"\nbase = "stack:sailing"', "alone")
    assert "is a stack" in sea("install", "alone", status=11).stderr
    shutil.rmtree(library.parents[2])


def test_update_is_a_layer_and_the_same_as_what_is_built_whole(sea: Site) -> None:
    contrib = sea.repo.parent / "new/src/contrib"
    rudder = package("rudder", "1.0", RUDDER | {"inst/chart": ""}, NeedsCompilation="yes")
    boat = package("boat", "1.10", BOAT, Imports="rudder")
    big = package("pier", "1.0", {"inst/chart": RUDDER["inst/chart"]})
    lay(contrib, rudder, boat, big, package("dinghy", "1.0", {}))
    asked = f'user_library = False\nrepositories = "file://{contrib.parents[1]}"'
    sailing(sea, f'{asked}\npackages = "boat", "pier", "dinghy"', "fleet")
    layered = {"TYKKY_LAYERS_ABOVE": "0"}
    sea("lock", "fleet")
    sea("install", "fleet", env=layered)
    shutil.rmtree(contrib)
    # What needs the one that is new is made with it, too; what does not stays as it is.
    newer = package("rudder", "1.1", RUDDER | {"inst/chart": ""}, NeedsCompilation="yes")
    lay(contrib, newer, boat, big)
    sailing(sea, f'{asked}\npackages = "boat", "pier"', "fleet")
    sea("lock", "fleet")
    said = sea("install", "fleet", env=layered).stderr
    assert "a layer" in said
    assert sea("log", "fleet").stdout.partition("on top of")[2].count("CMD INSTALL") == 2
    script = "export R_LIBS_USER={0} R_LIBS={0}; module load fleet\n"
    script += "Rscript -e 'cat(boat::steer(3), .libPaths())'"
    library = sea.prefix("fleet") / "lib/R/library"
    said = sea.lmod(script.format(sea.user.home)).stdout
    assert said == f"-2 {library} /usr/lib/R/library"
    sea("squash", "fleet")
    (one,) = sea.record("fleet")["images"]
    sea("install", "--force", "-c", "jobs=1", "fleet")
    (other,) = sea.record("fleet")["images"]
    assert one["sha256"] == other["sha256"]


#: What a recipe says, the exit code of 'tykky lock', and the lock or words of the error.
CHOICES: dict[str, tuple[str, int, dict[str, str] | str]] = {
    "the archive": ('packages = "rudder==0.8"', 0, {"rudder": "0.8"}),
    "R's own": ('packages = "stats", "rudder (>= 0.9, < 1)"', 0, {"rudder": "0.9-1"}),
    "further": ('packages = "rudder"\nrepositories = "file://{0}/old"', 0, {"rudder": "0.5"}),
    "not there": ('packages = "bota"', 23, "did you mean 'boat'"),
    "needs more": ('packages = "raft"', 23, "'Biosea', which raft needs"),
    "too old": ('packages = "boat>=2"', 10, "needs boat >= 2, and boat would be 1.10"),
    "disagree": ('packages = "boat", "rudder==0.8"', 10, "another rudder than rudder == 0.8"),
    "no such": ('packages = "rudder==0.7"', 23, "has rudder 0.9-1, and no 0.7"),
    "other R": ('packages = "ark"', 10, "ark needs R >= 99.1, and the base has R 4.2"),
    "altered": ('packages = "altered"', 28, "has the md5"),
    "r": ('packages = "boat"\nr = "4.4"', 11, "is for 4.4"),
    "no R": ('packages = "boat"\nbase = "host"', 11, "has no R"),
    "words": ('packages = "boat", "a b"', 4, "'a b', which is no R package"),
    "nothing": ("packages = ()", 4, "names no packages"),
    "day": ('packages = "boat"\nsnapshot = "May"', 4, "the snapshot 'May'"),
    "binaries": ('packages = "boat"\nbinaries = "bookworm"', 4, "does not say for which R"),
    "release": ('packages = "boat"\nbioconductor = "new"', 4, "release 'new'"),
}


@pytest.mark.parametrize("case", CHOICES)
def test_lock_has_what_a_recipe_asks_for_or_says_why_not(sea: Site, case: str) -> None:
    text, status, expected = CHOICES[case]
    top = sea.repo.parent
    if case == "further":
        lay(top / "old/src/contrib", package("rudder", "0.5", RUDDER))
    sailing(sea, text.format(top), "asking")
    shutil.rmtree(sea.repo / "asking/locks", ignore_errors=True)
    said = sea("lock", "asking", status=status).stderr
    if isinstance(expected, str):
        assert expected in said
    else:
        assert locked(sea, "asking") == expected


def test_package_that_cannot_be_compiled_is_named_with_what_it_needs(sea: Site) -> None:
    sailing(sea, 'packages = "wreck", "boat"', "asking")
    said = sea("install", "asking", status=12).stderr
    assert "the R package wreck 1.0 cannot be installed" in said
    assert "it may lack libplank" in said
    assert "plank.h: No such file" in said
    assert not sea.found("asking")


def test_binary_packages_are_those_that_a_server_has_for_the_base_and_its_r(sea: Site) -> None:
    contrib = sea.repo.parent / "cran/src/contrib"
    with serve() as web:
        top = "/__linux__/bookworm/2026-10-01/src/contrib"
        for name in ("PACKAGES", "rudder_0.9-1.tar.gz"):
            web.files[f"{top}/{name}"] = (contrib / name).read_bytes()
        binary = package("rudder", "0.9-1", RUDDER, Built="R 4.2.2; ; ; unix")
        web.for_r[f"{top}/rudder_0.9-1.tar.gz"] = binary
        sailing(sea, 'packages = "rudder"\nr = "4.2"\nbinaries = "bookworm"', "asking")
        web.login = "Basic " + base64.b64encode(b"kim:s3cret").decode()
        there = web.address.replace("//", "//kim:s3cret@")
        cran = f"r.cran={there}/{{linux}}{{snapshot}}"
        cache = f"cache_dir={sea.repo.parent}/cache"
        sea("lock", "asking", "-c", cran, "-c", cache)
        (lock,) = (sea.repo / "asking/locks").iterdir()
        assert hashlib.sha256(binary).hexdigest() in lock.read_text()
        assert "s3cret" not in lock.read_text()
        shutil.rmtree(sea.repo.parent / "cache")
        assert "download 1 R package" in sea("install", "--plan", "asking", "-c", cran).stdout
        sea("fetch", "asking", "-c", cran, "-c", cache)


def test_a_lock_of_renv_becomes_a_stack_with_its_versions(sea: Site, place: Path) -> None:
    (place / "image.txt").write_text(BASE)
    lock = place / "renv.lock"
    packages = {
        "boat": {"Package": "boat", "Version": "1.10", "Source": "Repository"},
        "rudder": {"Package": "rudder", "Version": "0.8", "Source": "Repository"},
        "own": {"Package": "own", "Version": "0.1", "Source": "Local"},
    }
    about = {"Version": "4.2.1", "Repositories": [{"Name": "CRAN", "URL": "https://cran.org"}]}
    lock.write_text(json.dumps({"R": about, "Packages": packages}, indent=2))
    site = sea.with_env(TYKKY_BASE=f"debian:{place}/image.txt")
    # The newest boat wants a newer rudder than the lock has, which is not for us to choose.
    said = site("create", "crossing", "--from", lock, status=Exit.RESOLVE).stderr
    assert "renv.lock:22: own 0.1" in said and "rudder would be 0.8" in said
    packages["rudder"]["Version"] = "0.9-1"
    lock.write_text(json.dumps({"R": about, "Packages": packages}, indent=2))
    site("create", "sailor", "--from", lock)
    assert locked(site, "sailor") == {"boat": "1.10", "rudder": "0.9-1"}
    site("install", "sailor")
    code = "cat(boat::steer(3))"
    assert site.lmod(f"module load sailor; Rscript -e '{code}'").stdout == "-2"
