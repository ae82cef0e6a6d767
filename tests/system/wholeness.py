"""What must hold in a store at every moment, and of every failure."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.stacks import Site, listing
from tykky.errors import Exit

#: Temporary names: of files and links, of generations that are written or deleted.
LITTER = r"\.new$|/\.current\.|/(new|old)-[^/]*$|/\.replaced-"


def assert_nothing_is_half_done(site: Site) -> None:
    """What ``find`` lists is whole and has its command; every module belongs to such a one."""
    entries = site.found()
    modules = [f"{entry['module']}.lua" for entry in entries]
    assert set(site.modulefiles()) <= set(modules)
    for entry in entries:
        assert (Path(entry["prefix"]) / ".tykky/current/record.json").exists()
        for command in (Path(entry["prefix"]) / "bin").iterdir():
            assert "hello" in site.user.run(command).stdout


def assert_whole(site: Site, name: str = "hello", version: str = "1.0") -> None:
    """One install is found, its module is loaded by name, and its command runs."""
    assert [entry["module"] for entry in site.found(name)] == [f"{name}/{version}"]
    assert site.modulefiles() == [f"{name}/{version}.lua"]
    said = site.lmod(f"module load {name}; hello there").stdout
    assert said == f"hello {version} there\n"


def assert_no_litter(site: Site) -> None:
    """Nothing temporary is left in the store, and nothing of the build."""
    left = [path for path in listing(site.root) if re.search(LITTER, path)]
    assert left == []
    build = Path(site.user.env["TYKKY_BUILD_DIR"])
    assert [path for path in listing(build) if not path.startswith(("logs", ".lock"))] == []


def assert_explained(done: subprocess.CompletedProcess[str], *words: str, remedy: str = "") -> None:
    """One line says what is wrong, the last one what helps, and neither is a traceback."""
    said = done.stderr
    assert "Traceback" not in said
    causes = [line for line in said.splitlines() if line.startswith("tykky: error: ")]
    assert len(causes) == 1, said
    for word in words:
        assert word in causes[0], said
    last = said.splitlines()[-1]
    assert last.startswith("  "), f"there is no remedy in:\n{said}"
    assert remedy in last, said


def failed(
    site: Site, code: Exit, *arguments: str | Path, says: tuple[str, ...] = (), remedy: str = ""
) -> subprocess.CompletedProcess[str]:
    """``tykky ARGUMENTS`` ends with this code and explains itself."""
    done = site(*arguments, status=int(code))
    assert_explained(done, *says, remedy=remedy)
    return done
