"""``tykky create``: recipes of what people have install, pass their test, and say what is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.indexes import address, index, wheel
from tests.launcher.stacks import wait_for
from tests.servers import serve
from tests.stacks import Site, listing
from tests.support import SPOILT
from tykky.errors import Exit

#: What is in no file and in nothing that is said.
SECRET = "s3cret"


def locked(site: Site, name: str) -> list[dict[str, Any]]:
    """What the lock of a recipe names, in any order."""
    (lock,) = (site.repo / name / "locks").iterdir()
    return sorted(json.loads(lock.read_text())["packages"], key=lambda row: row["name"])


def packages(site: Site, *spec: str) -> dict[str, str]:
    return dict(site.record(*spec)["packages"])


def test_what_is_made_of_a_stack_of_pip_is_the_same_stack_again(site: Site, place: Path) -> None:
    """From requirements, and then from each way in which its packages can be written down."""
    local = place / "tykkygood-1.0-py3-none-any.whl"
    local.write_bytes(wheel("tykkygood"))
    file = place / "requirements.txt"
    file.write_bytes(
        f"\ufeff# mine\r\n-i https://kim:{SECRET}@pypi.site.org/simple\r\ntabulate==0.9.0\r\n"
        f"six>=1.16  # old\r\n-c limits.txt\r\n{local}\r\n-e .\r\n".encode()
    )
    (place / "limits.txt").write_text("six<1.17\n")
    done = site("create", "one@26.11", "--from", str(file))
    assert "requirements.txt:2: --index-url https://pypi.site.org/simple" in done.stderr
    assert "requirements.txt:7: " in done.stderr and "audited one\n" in done.stderr
    recipe = (site.repo / "one/recipe.py").read_text()
    assert "requirements.txt:7: " in recipe
    everything = done.stderr + "".join(
        path.read_text() for path in site.repo.rglob("*") if path.is_file()
    )
    assert SECRET not in everything
    site("install", "one")
    first = packages(site, "one")
    assert (first["six"], first["tabulate"], first["tykkygood"]) == ("1.16.0", "0.9.0", "1.0")

    python = str(site.prefix("one") / "bin/python")
    site("export", "--packages", "one", "-o", str(place / "list"))
    frozen = site.user.run(python, "-m", "pip", "freeze").stdout
    # An install does not know any more where the file was that a lock names by its digest.
    frozen = frozen.replace("tykkygood==1.0", f"tykkygood @ {local.as_uri()}")
    (place / "freeze.txt").write_text(frozen)
    venv = place / "venv"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, venv], check=True)
    pins = [f"{name}=={first[name]}" for name in ("six", "tabulate")]
    given = [*pins, str(local)]
    subprocess.run([uv, "pip", "install", "-q", "--python", venv, *given], check=True)
    for name, source in {"two": "freeze.txt", "three": "list", "four": "venv"}.items():
        site("create", name, "--from", str(place / source))
        assert locked(site, name) == locked(site, "one"), source
    # Whose wheels are here by now, so that no server has to be asked what is in them.
    assert "import six, tabulate, tykkygood" in (site.repo / "four/recipe.py").read_text()


def test_a_digest_in_a_requirement_and_a_constraint_are_held_to(site: Site, place: Path) -> None:
    with index("pip==1.0", "tykkyone==1.0", "tykkyone==2.0") as web:
        site = site.with_env(TYKKY_PIP_INDEX_URL=address(web))
        file = place / "requirements.txt"
        file.write_text(f"tykkyone==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
        done = site("create", "one", "--from", str(file), status=int(Exit.LOCK))
        assert "none of those that 'one' asks for" in done.stderr
        assert listing(site.repo / "one") == ["recipe.py", "requirements.txt"]
        file.write_text("tykkyone\n-c limits.txt\n")
        (place / "limits.txt").write_text("tykkyone<2\n")
        site("create", "two", "--from", str(file))
        (lock,) = (site.repo / "two/locks").iterdir()
        assert "tykkyone-1.0-" in lock.read_text()


def test_programs_of_containers_directories_and_classic_installs(
    site: Site, place: Path, hello: bytes
) -> None:
    root, sqfs = place / "root", place / "tool_1.2.sqfs"
    conda = '{"name": "tool", "files": ["bin/tool", "bin/tool2", "lib/x"]}'
    for name in ("usr/local/bin/tool", "usr/local/bin/tool2", "usr/local/bin/python3", "bin/sh"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(hello)
        (root / name).chmod(0o755)
    for name in ("conda-meta/tool-1.2-h0_0.json", "lib/libcudart.so.12"):
        (root / "usr/local" / name).parent.mkdir()
        (root / "usr/local" / name).write_text(conda)
    (root / "etc").mkdir()
    subprocess.run(["mksquashfs", root, sqfs, "-quiet", "-no-progress"], check=True)
    tree = place / "tree-3.1"
    (tree / "bin").mkdir(parents=True)
    for name in ("walk", "we'ird", "no name"):
        (tree / "bin" / name).write_text(f"#!/bin/sh\n# {tree}/share\necho walks\n")
        (tree / "bin" / name).chmod(0o755)
    wrapped = place / "wrapped"
    line = [Path(sys.executable).with_name("wrap-container"), "-w", "/usr/local/bin/tool2"]
    site.user.run(*map(str, [*line, "--prefix", wrapped, sqfs]))
    for name, source, version, commands in (
        ("image", sqfs, "1.2", ["tool", "tool2"]),
        ("dir", tree, "3.1", ["walk", "we'ird"]),
        ("old", wrapped, "1", ["tool2"]),
    ):
        done = site("create", name, "--from", str(source))
        site("install", name)
        record = site.record(name)
        assert (record["version"], record["commands"]) == (version, commands), name
        assert site.user.run(str(site.prefix(name) / "bin" / commands[0])).returncode == 0
    assert 'gpu = "nvidia"' in (site.repo / "image/recipe.py").read_text()
    assert "mask = True" in (site.repo / "dir/recipe.py").read_text()
    assert "wrapped/container.sif" in done.stderr
    debian = place / "debian"
    for name, text in {
        "bin/sh": "", "etc/os-release": "", "usr/bin/asked": "", "usr/bin/needed": "",
        "var/lib/apt/extended_states": "Package: needed\nAuto-Installed: 1\n",
        "var/lib/dpkg/info/asked.list": "/usr/bin/asked\n/usr/share/doc\n",
        "var/lib/dpkg/info/needed.list": "/usr/bin/needed\n",
        "var/lib/dpkg/status": "Package: needed\nPriority: optional\n\n"
        "Package: asked\nPriority: optional\n",
    }.items():  # fmt: skip
        (debian / name).parent.mkdir(parents=True, exist_ok=True)
        (debian / name).write_text(text)
        (debian / name).chmod(0o755)
    site("create", "deb", "--from", str(debian), "--no-lock")
    assert 'commands = "asked"\n' in (site.repo / "deb/recipe.py").read_text()
    (place / "container.yaml").write_text(
        "docker: quay.io/x/tool\nlatest:\n  '1.2--h0': sha256:" + "1" * 64 + "\n"
        "tags:\n  '1.2--h0': sha256:x\naliases:\n  tool: /usr/bin/tool\n  odd: /bin/sh -c x\n"
    )
    done = site("create", "shpc", "--from", str(place / "container.yaml"), "--no-lock")
    assert "container.yaml:8: odd: /bin/sh -c x" in done.stderr
    recipe = (site.repo / "shpc/recipe.py").read_text().replace('"\n        "', "")
    assert f'tool:1.2--h0@sha256:{"1" * 64}"' in recipe and 'versions = "1.2"' in recipe


def test_nothing_is_overwritten_and_nothing_is_half_there(site: Site, place: Path) -> None:
    file = place / "requirements.txt"
    file.write_text("tykkyone\n")
    site("create", "tool", "--kind", "disk")  # which installs as it is
    site("lock", "tool")
    site("audit", "tool")
    site("install", "tool")
    before = (site.repo / "tool/recipe.py").read_bytes()
    done = site("create", "tool", "--from", str(file), status=int(Exit.CONFLICT))
    assert "nothing is overwritten" in done.stderr
    assert (site.repo / "tool/recipe.py").read_bytes() == before
    (site.repo / "other").mkdir()
    site("create", "other", "--from", str(file), status=int(Exit.CONFLICT))
    answer = site.json("create", "new", "--from", str(file), "--dry-run")
    assert answer["text"].startswith("from tykky import PipStack")
    assert not (site.repo / "new").exists()

    with serve() as web:  # whose index does not answer before the call is killed
        web.wait = 300
        there = site.with_env(TYKKY_PIP_INDEX_URL=f"{web.address}/simple")
        running = there.start("create", "new", "--from", str(file))
        assert wait_for(lambda: bool(web.asked), 60)
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
        SPOILT["kills"] += 1
    assert not (site.repo / "new").exists()
    assert [name for name in listing(site.repo) if name.startswith(".create-")]
    site("create", "new", "--from", str(file), "--no-lock")
    assert sorted(path.name for path in site.repo.iterdir()) == ["new", "other", "tool"]


@pytest.mark.parametrize(
    "words, code, said",
    [
        (["x", "--from", "gone.txt"], Exit.NOT_FOUND, "there is no gone.txt"),
        (["X", "--from", "r.txt"], Exit.SPEC, "lower case"),
        (["x", "--from", "/"], Exit.USAGE, "more than an installation"),
        (["x", "--from", "r.txt", "--format", "venw"], Exit.USAGE, "did you mean 'venv'"),
        (["x", "--from", "r.txt", "--repo", "gone"], Exit.NOT_WRITABLE, "mkdir -p"),
        (["x", "--from", "r.txt", "--kind", "pip"], Exit.USAGE, "leave --kind out"),
        (["x +y"], Exit.USAGE, "variants"),
    ],
)
def test_what_cannot_be_done_is_said(
    site: Site, place: Path, words: list[str], code: Exit, said: str
) -> None:
    (place / "r.txt").write_text("six\n")
    done = site("create", *words, status=int(code), cwd=place)
    assert said in done.stderr and "Traceback" not in done.stderr
    assert listing(site.repo) == []
