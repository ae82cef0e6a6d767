"""Installations of earlier versions of the commands are updated, and are ours from then on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.classic import Classic
from tests.compat import old
from tests.compat.test_update import tree
from tykky.errors import Exit


@pytest.fixture(scope="session")
def contents(settled: Classic, pip: Path, conda: Path) -> dict[str, tuple[Path, str]]:
    """The contents of the two kinds, and the path that they know."""
    found = {}
    for name, prefix in (("venv", pip), ("conda", conda)):
        folder = settled.place / f"contents-{name}"
        subprocess.run(["unsquashfs", "-q", "-n", "-d", folder, prefix / "img.sqfs"], check=True)
        inside = settled.says(f"{prefix}/bin/_debug_exec sh -c 'echo $install_root'")
        found[name] = (folder, inside)
    return found


@pytest.mark.parametrize("version", old.VERSIONS)
def test_python_environments_of_every_version_are_updated(
    classic: Classic, contents: dict[str, tuple[Path, str]], version: str
) -> None:
    folder, inside = contents["venv"]
    prefix = classic.home / "p"
    old.make(prefix, folder, version, "venv", inside, "env1")
    before = tree(prefix)
    classic.write("bad.sh", "false\n")
    classic.sh("pip-containerize update p --post bad.sh", status=int(Exit.BUILD))
    assert tree(prefix) == before
    classic.write("req.txt", "six==1.16.0\n")
    classic.sh("pip-containerize update p -r req.txt")
    assert classic.says("p/bin/python -c 'import six; print(six.__version__)'") == "1.16.0"
    assert classic.says("p/bin/_debug_exec sh -c 'echo $FROM_BEFORE $install_root'") == (
        f"kept {inside}"
    )
    assert (prefix / "share/previous_input/1/req.txt").exists()
    assert (prefix / "img.sqfs").is_symlink()
    assert not (prefix / "container.sif").exists()
    classic.sh("mv p q; q/bin/python -c 'import tabulate'; pip-containerize update q")


@pytest.mark.parametrize("base", ["miniforge", "miniconda"])
def test_conda_environments_of_every_kind_are_updated(
    classic: Classic, contents: dict[str, tuple[Path, str]], base: str, place: Path
) -> None:
    folder, inside = contents["conda"]
    copy = place / "contents"
    shutil.copytree(folder, copy, symlinks=True)
    if base == "miniconda":
        (copy / "miniforge").rename(copy / "miniconda")
    prefix = classic.home / "p"
    old.make(prefix, copy, "0.4", "conda", inside, f"{base}/envs/env1")
    classic.write("post.sh", "conda install -y -c local packaging\n")
    classic.sh("conda-containerize update p --post post.sh")
    assert classic.says("p/bin/python -c 'import packaging, tabulate; print(1)'") == "1"
    assert "DATA_SITE" in classic.says("p/bin/show-data")
    assert classic.says("tykky find p --format '{prefix}'") == str(prefix)


def test_an_old_installation_still_runs_beside_ours(
    classic: Classic, contents: dict[str, tuple[Path, str]]
) -> None:
    folder, inside = contents["venv"]
    old.make(classic.home / "p", folder, "0.5", "venv", inside, "env1")
    activate = Path(__file__).parents[2] / "share/setup-env.sh"
    shown = classic.says(f". {activate}; tykky activate ./p; command -v tabulate")
    assert shown == f"{classic.home}/p/bin/tabulate"


def test_a_damaged_installation_is_named(classic: Classic) -> None:
    classic.write("p/share/conf.yaml", "mode: venv\n")
    done = classic.sh("pip-containerize update p", status=int(Exit.DAMAGED))
    assert "cannot be understood" in done.stderr
    classic.write("p/share/conf.yaml", "{mode: venv, installation_path: /X_y}\n")
    done = classic.sh("pip-containerize update p", status=int(Exit.DAMAGED))
    assert "img.sqfs" in done.stderr


def test_an_environment_of_an_earlier_version_becomes_a_recipe(
    settled: Classic, contents: dict[str, tuple[Path, str]]
) -> None:
    folder, inside = contents["venv"]
    prefix = settled.place / "for-a-recipe"
    old.make(prefix, folder, "0.5", "venv", inside, "env1")
    repo = settled.place / "repo-of-recipes"
    repo.mkdir()
    done = settled.sh(f"tykky create lab --from {prefix} --repo {repo} --no-lock")
    assert "post_install: /gone/post.sh" in done.stderr
    recipe = (repo / "lab/recipe.py").read_text()
    assert 'packages = "six", "tabulate"' in recipe and "base =" not in recipe
    assert "import six, tabulate" in recipe
    constraints = (repo / "lab/constraints.txt").read_text()
    assert {"six==1.17.0", "tabulate==0.9.0"} <= {*constraints.split()}
