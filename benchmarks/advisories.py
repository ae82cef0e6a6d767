"""What it costs to compare what a centre has installed with all known holes, offline."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, Runner, Target, race
from benchmarks.places import fill
from tests.stacks import HELLO
from tests.support import Tykky
from tykky.contents import Installed, render
from tykky.store import Place, Store

INSTALLS, PACKAGES, ADVISORIES = 400, 300, 20_000
#: Projects that there are advisories on, and those of them that anybody has installed.
_KNOWN, _USED = 6_000, 2_000
_LIMIT = 30.0


def measure(tykky: Tykky, place: Path) -> Iterator[Row]:
    """Seconds for all installs, with the advisories as files of a directory, and as one ZIP."""
    root, repo = place / "advised", place / "advised-repo/hello/recipe.py"
    repo.parent.mkdir(parents=True)
    repo.write_text(HELLO.format(versions='"1.0",'))
    env = {**tykky.user.env, "TYKKY_REPOS": str(repo.parents[1]), "TYKKY_ROOT": str(root)}
    tykky.user.run("tykky", "install", "hello", env=env)
    dice = random.Random(13)
    fill(Store(root), INSTALLS)
    for entry in Store(root).entries():
        folder = Place(Path(entry.prefix)).generation(1)
        (folder / "packages.json").write_text(render(_packages(dice)))
    mirror = place / "osv"
    for ecosystem in ("PyPI", "Debian"):
        (mirror / ecosystem).mkdir(parents=True)
    with zipfile.ZipFile(place / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(ADVISORIES):
            path = mirror / ("Debian" if number % 3 == 0 else "PyPI") / f"{number}.json"
            path.write_text(json.dumps(_advisory(number, path.parent.name, dice)))
            archive.write(path, path.name)
    # With a hole that is critical, the exit code would not be 0; there is none.
    words = ["tykky", "audit", "--json", "--fail-on", "critical", "--advisories"]
    runners = {
        "directory": Runner([*words, mirror], env),
        "ZIP": Runner([*words, place / "all.zip"], env),
    }
    case = f"{INSTALLS} installs of {PACKAGES} packages, {ADVISORIES:,} files"
    times = race(runners, fewest=2)
    target = Target("value", _LIMIT)
    yield times.row("advisories", case, "directory", "ZIP", "as one ZIP", target)


def _packages(dice: random.Random) -> list[Installed]:
    found = []
    for number in dice.sample(range(_USED), PACKAGES):
        version, source = f"{dice.randrange(6)}.{dice.randrange(20)}.1", f"lib{number}"
        more: dict[str, Any] = {"license": "MIT", "sha256": "0" * 64, "size": number}
        more["requires"] = tuple(f"project-{dice.randrange(_USED)}" for _ in range(5))
        if number % 3 == 0:
            version = f"1:{version}-1+deb12u{dice.randrange(12)}"
            more |= {"type": "deb", "channel": "debian-12", "source": f"{source} {version}"}
            found.append(Installed(f"{source}-dev", version, "amd64", **more))
        elif number % 3 == 1:
            more |= {"type": "conda", "channel": "conda-forge"}
            found.append(Installed(f"project-{number}", version, "py311h012345_0", **more))
        else:
            found.append(Installed(f"Project_{number}", version, type="pypi", **more))
    return found


def _advisory(number: int, ecosystem: str, dice: random.Random) -> dict[str, Any]:
    """One as they are: most are of some kilobytes, and list the versions."""
    about = dice.randrange(_KNOWN)
    name = f"project-{about}" if ecosystem == "PyPI" else f"lib{about}"
    first, last = dice.randrange(4), dice.randrange(1, 20)
    fixed = f"{first + 1}.{last}.0" if ecosystem == "PyPI" else f"1:{first + 1}.{last}.1-1+deb12u5"
    events = [{"introduced": f"{first}.0.0" if first else "0"}, {"fixed": fixed}]
    affected: dict[str, Any] = {
        "package": {
            "ecosystem": ecosystem
            if ecosystem == "PyPI"
            else f"Debian:{dice.choice((11, 12, 13))}",
            "name": name,
        },
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    if ecosystem == "PyPI":
        affected["versions"] = [
            f"{first}.{minor}.{patch}" for minor in range(20) for patch in (0, 1)
        ]
    return {
        "schema_version": "1.6.0",
        "id": f"{'PYSEC' if ecosystem == 'PyPI' else 'DSA'}-{number}",
        "modified": "2026-10-01T00:00:00Z",
        "published": "2026-09-01T00:00:00Z",
        "aliases": [f"CVE-2026-{number // 2}"],
        "summary": f"A hole in {name}",
        "details": "What somebody could do with it, and how. " * 40,
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:H/PR:L/UI:N/S:U/C:H/I:H/A:N"}],
        "references": [{"type": "WEB", "url": f"https://example.org/{i}"} for i in range(8)],
        "affected": [affected],
    }
