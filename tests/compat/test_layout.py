"""What an installation consists of, for people and tools that look at it from outside."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import yaml

from tests.classic import Classic


@pytest.mark.parametrize("kind", ["pip", "conda", "wrapped", "disk"])
def test_every_kind_looks_like_an_installation(kind: str, request: pytest.FixtureRequest) -> None:
    prefix: Path = request.getfixturevalue(kind)
    assert (prefix / "common.sh").is_file()
    assert all(os.access(path, os.X_OK) for path in (prefix / "bin").iterdir())
    assert {path.name for path in (prefix / "_bin").iterdir()} == {
        path.name for path in (prefix / "bin").iterdir()
    }
    conf = yaml.safe_load((prefix / "share/conf.yaml").read_text())
    assert conf["installation_path"].startswith("/LOCAL_TYKKY_")
    assert len(conf["installation_path"]) == len("/LOCAL_TYKKY_") + 7
    version = yaml.safe_load((prefix / "share/VERSION.yml").read_text())
    assert set(version) == {"tag", "commit", "build-time"}
    assert (prefix / "img.sqfs").exists() == (kind != "wrapped")
    assert (prefix / "container.sif").exists() == (kind == "wrapped")


def test_the_image_is_named_by_its_digest(pip: Path) -> None:
    image = (prefix := pip) / "img.sqfs"
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    assert image.resolve() == prefix / f".tykky/images/{digest[:16]}.sqfs"


def test_links_of_commands_lead_into_the_image(settled: Classic, pip: Path, conda: Path) -> None:
    for prefix, below in (pip, "env1/bin/python"), (conda, "miniforge/envs/env1/bin/python"):
        conf = yaml.safe_load((prefix / "share/conf.yaml").read_text())
        target = (prefix / "_bin/python").readlink()
        assert str(target) == f"{conf['installation_path']}/{below}"
        assert not target.exists()
        settled.sh(f"{prefix}/bin/_debug_exec test -e {target}")


def test_a_python_environment_looks_like_one(settled: Classic, pip: Path) -> None:
    assert "include-system-site-packages = false" in (pip / "pyvenv.cfg").read_text()
    assert (pip / "lib64").resolve() == (pip / "lib").resolve()
    (library,) = (pip / "lib").iterdir()
    assert not (library / "site-packages").exists()
    settled.sh(f"{pip}/bin/_debug_exec test -d {library}/site-packages/tabulate")


def test_what_was_given_is_kept_beside_and_in_the_image(settled: Classic, pip: Path) -> None:
    kept = pip / "share/previous_input/0"
    assert (kept / "req.txt").read_text() == (settled.home / "req.txt").read_text()
    assert "post" in (kept / "post.sh").read_text()
    shown = settled.says(
        f"{pip}/bin/_debug_exec sh -c 'cat $install_root/previous_input/0/req.txt'"
    )
    assert shown == (settled.home / "req.txt").read_text().rstrip("\n")


def test_conda_and_pip_environments_list_their_packages(
    settled: Classic, conda: Path, pip: Path
) -> None:
    assert "activated" in settled.says(f"{conda}/bin/list-packages")
    assert "tabulate" in settled.says(f"{pip}/bin/list-packages")


def test_the_ways_in_for_support(settled: Classic, pip: Path) -> None:
    root = yaml.safe_load((pip / "share/conf.yaml").read_text())["installation_path"]
    assert settled.says(f"{pip}/bin/_debug_exec bash -c 'echo $install_root'") == root
    assert settled.says(f"{pip}/bin/_debug_shell -c 'echo $env_root'") == f"{root}/env1/"
    assert settled.sh(f"{pip}/bin/_debug_exec sh -c 'exit 7'", status=7)


def test_a_shared_container_is_a_link(classic: Classic, hello: bytes) -> None:
    from tests.images import docker_archive

    archive = docker_archive(classic.home / "i.tar", {"bin/hello": hello})
    file = classic.says(f"tykky base pull --json docker-archive:{archive}").split('"file": "')[1]
    classic.sh(f"cp {file.split(chr(34))[0]} own.sif")
    classic.write("share.yaml", "share_container: yes\n")
    classic.sh("wrap-container -w /bin/hello --yaml share.yaml --prefix a $HOME/own.sif")
    assert (classic.home / "a/container.sif").resolve() == classic.home / "own.sif"
    classic.sh("wrap-container -w /bin/hello --prefix b $HOME/own.sif; rm own.sif")
    assert classic.says("b/bin/hello").startswith("hello from")
    own = (classic.home / "b/container.sif").resolve()
    assert own.parent == classic.home / "b/.tykky/images"


def test_a_recipe_made_of_a_conda_installation_has_its_packages(
    settled: Classic, conda: Path, place: Path
) -> None:
    settled.sh(f"tykky create lab --from {conda} --repo {place}")
    (lock,) = (place / "lab/locks").iterdir()
    names = {each["name"] for each in yaml.safe_load(lock.read_text())["packages"]}
    assert names == {"python", "activated", "pip", "tabulate"}
    assert "@EXPLICIT" in (place / "lab/explicit.txt").read_text()
