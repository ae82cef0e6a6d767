"""Stacks made of what conda users have: an environment file, what is exported of it, itself."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.indexes import address, index
from tests.stacks import Site
from tests.support import User
from tests.system.conda_site import make
from tykky.errors import Exit

ENVIRONMENT = """\
name: trial
channels: [local]
dependencies:
  - python=3.11
  - tabulate
  - activated
  - prefixed  # [x86_64 or aarch64]
  - pip:
      - tykkyone==1.0
variables: {TRIAL_LEVEL: 3}
prefix: /home/kim/envs/trial
"""

# What pixi writes, by the library that it is made of.
PIXI = """
import asyncio, json, os, sys
import rattler
from rattler.lock import LockChannel, LockFile, LockPlatform

async def main(out, packages):
    lock, platform = LockFile([LockPlatform("linux-64")]), LockPlatform("linux-64")
    for url in json.loads(packages):
        record = await rattler.RepoDataRecord.from_package_archive(url.removeprefix("file://"))
        record.url, record.channel = url, url.rsplit("/", 2)[0]
        lock.set_channels("default", [LockChannel(record.channel)])
        lock.add_conda_package("default", platform, record)
    lock.to_path(out)

asyncio.run(main(*sys.argv[1:]))
os._exit(0)
"""


def locked(site: Site, name: str) -> set[tuple[str, ...]]:
    """The packages of the lock of a recipe."""
    (path,) = (site.repo / name / "locks").iterdir()
    rows = json.loads(path.read_text())["packages"]
    return {(row["name"], row["version"], row.get("build", ""), row["sha256"]) for row in rows}


def exports(folder: Path, rows: list[dict[str, Any]], wheel: str) -> dict[str, Path]:
    """Files that say the same as the packages of an environment, as other tools write them."""
    explicit = [f"{r['url']}#{md5(r['url'])}" for r in rows]
    pip = {"pip": ["tykkyone==1.0"]}
    builds = ["=".join((r["name"], r["version"], r["build"])) for r in rows]
    about = {"category": "main", "optional": False, "platform": "linux-64", "dependencies": {}}
    package = [
        {**{k: r[k] for k in ("name", "version", "url")}, "manager": "conda"}
        | {"hash": {"md5": md5(r["url"]), "sha256": r["sha256"]}, **about}
        for r in rows
    ]
    package.append({"name": "tykkyone", "version": "1.0", "manager": "pip", "url": wheel, **about})
    texts = {
        "explicit.txt": "\n".join(["# platform: linux-64", "@EXPLICIT", *explicit, ""]),
        "export.yml": yaml.safe_dump({"channels": ["local"], "dependencies": [*builds, pip]}),
        "conda-lock.yml": yaml.safe_dump({"version": 1, "metadata": {}, "package": package}),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    urls = json.dumps([r["url"] for r in rows])
    line = [sys.executable, "-c", PIXI, str(folder / "pixi.lock"), urls]
    subprocess.run(line, check=True)
    return {name.partition(".")[0]: folder / name for name in (*texts, "pixi.lock")}


def md5(url: str) -> str:
    data = Path(url.removeprefix("file://")).read_bytes()
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def test_an_environment_and_all_that_is_exported_of_it_are_the_same_packages(
    place: Path, user: User
) -> None:
    plain = make(place, user)
    (place / "environment.yml").write_text(ENVIRONMENT)
    with index("tykkyone==1.0") as web:
        site = plain.with_env(TYKKY_PIP_INDEX_URL=address(web))
        said = site("create", "one", "--from", place / "environment.yml").stderr
        assert "environment.yml:11: prefix" in said
        site("install", "one")
        show = "import os, tykkyone; print(os.environ['TRIAL_LEVEL'], os.environ['DATA_HOME'])"
        loaded = site.lmod(f'module load one; show-prefix; python -c "{show}"').stdout
        assert loaded.split() == [
            str(site.prefix("one")),
            "3",
            f"{site.prefix('one')}/share/data",
            "home",
        ]
        site("export", "--packages", "one", "-o", place / "exported")
        site("mount", "one", place / "there")
        try:
            site("create", "two", "--from", place / "there")
            rows = [json.loads(p.read_text()) for p in (place / "there/conda-meta").glob("*.json")]
        finally:
            site("mount", "--undo", place / "there")
        packages = locked(site, "one")
        assert locked(site, "two") == packages
        # Its test imports what was asked for.
        assert "import tabulate, tykkyone" in (site.repo / "two/recipe.py").read_text()
        (wheel,) = (path for path in web.files if path.startswith("/files/"))
        of_conda = {each for each in packages if each[2]}
        files = exports(place, rows, web.address + wheel) | {"exported": place / "exported"}
        for name, path in files.items():
            site("create", name, "--from", path)
            whole = name in ("export", "conda-lock", "exported")
            assert locked(site, name) == (packages if whole else of_conda), name
        # What a lock says of the files of requirements is held to.
        wanted = site.repo / "exported/requirements.txt"
        wanted.write_text(re.sub("sha256:.*", f"sha256:{'0' * 64}", wanted.read_text()))
        assert "none of those" in site("lock", "exported", status=Exit.LOCK).stderr
        # And the list that one of them has beside it is the same again; here but for Python.
        listed = (site.repo / "pixi/explicit.txt").read_text().splitlines(keepends=True)
        kept = [line for line in listed if not re.search("/(python|pip|tabulate)-", line)]
        (place / "list.txt").write_text("".join(kept))
        site("create", "few", "--from", place / "list.txt")
        assert {each[0] for each in locked(site, "few") & packages} == {"activated", "prefixed"}
        site("install", "few")
        assert "DATA_HOME" in site.lmod("module load few; show-data").stdout
