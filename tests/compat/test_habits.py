"""What users of the classic commands have been in the habit of doing, beside the documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.classic import Classic
from tykky.compat.pip import Pip
from tykky.config import Config
from tykky.errors import Exit


@pytest.fixture
def tool(classic: Classic) -> Classic:
    classic.sh("mkdir -p t/bin; printf '#!/bin/sh\\necho yes $MINE\\n' > t/bin/x; chmod +x t/bin/x")
    return classic


def test_scripts_may_come_from_another_command(tool: Classic) -> None:
    tool.sh(
        "wrap-install -w bin --prefix p --post <(echo 'echo one > $install_root/one')"
        " --environ <(echo 'export MINE=piped') t"
    )
    assert tool.says("p/bin/x; p/bin/_debug_exec sh -c 'cat $install_root/one'") == "yes piped\none"
    kept = tool.home / "p/share/previous_input/0/post-install"
    assert kept.read_text() == "echo one > $install_root/one\n"


def test_an_update_keeps_the_variables_of_the_first_installation(classic: Classic) -> None:
    classic.write("six.txt", "six\n")
    classic.write(
        "conf.yaml",
        "requirements_file: six.txt\ninstallation_prefix: p\nmode: venv\nextra_envs:\n"
        "- {type: set, name: AAA, value: one}\n- {type: append, name: BBB, value: two}\n",
    )
    classic.sh("pip-containerize advanced conf.yaml")
    classic.write("more.sh", "export CCC=three\n")
    classic.sh("pip-containerize update --environ more.sh p; pip-containerize update p")
    shown = classic.says("BBB=x p/bin/_debug_exec sh -c 'echo $AAA $BBB $CCC'")
    assert shown == "one x:two three"


@pytest.mark.parametrize("name", ["my.sif", "images/link.sif", "../home/my.sif"])
def test_a_container_may_be_any_path(
    classic: Classic, settled: Classic, wrapped: Path, name: str
) -> None:
    if not (wrapped / "container.sif").is_file():
        pytest.fail("the container is no file")
    classic.sh(f"cp {wrapped}/container.sif my.sif; mkdir images; ln -s ../my.sif images/link.sif")
    name = name.replace("home", classic.home.name)
    classic.sh(f"wrap-container -w /bin/third --prefix p {name}")
    assert classic.says("p/bin/third") == "hello from p/bin/third"


def test_what_is_said_at_the_end_can_be_typed(tool: Classic) -> None:
    done = tool.sh("wrap-install -w bin --prefix 'my tools' t")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("use it: ")]
    assert line == f"use it: tykky activate '{tool.home}/my tools'"


@pytest.mark.parametrize(("umask", "others"), [("077", 0o077), ("027", 0o007)])
def test_an_installation_has_the_modes_that_the_umask_leaves(
    tool: Classic, umask: str, others: int
) -> None:
    tool.sh(f"umask {umask}; wrap-install -w bin --prefix p t")
    paths = [tool.home / "p", *(tool.home / "p").rglob("*")]
    shown = [path for path in paths if not path.is_symlink() and path.stat().st_mode & others]
    assert shown == []
    assert tool.says("p/bin/x") == "yes"


def test_conda_is_said_to_have_activated_the_environment_by_name(
    settled: Classic, conda: Path
) -> None:
    assert settled.says(f"{conda}/bin/_debug_exec sh -c 'echo $CONDA_DEFAULT_ENV'") == "env1"


def test_of_two_updates_at_once_both_count(classic: Classic, pip: Path) -> None:
    classic.sh(f"cp -a {pip} p")
    classic.write("first.sh", "touch began; sleep 1; echo 1 > $env_root/first\n")
    classic.write("second.sh", "echo 2 > $env_root/second\n")
    classic.sh(
        "pip-containerize update --post first.sh p & first=$!;"
        "until [ -e began ]; do sleep 0.05; done;"
        "pip-containerize update --post second.sh p; wait $first"
    )
    shown = classic.says("p/bin/_debug_exec sh -c 'cat $env_root/first $env_root/second'")
    assert shown == "1\n2"


def test_a_script_that_exits_before_anything_is_installed_is_named(tool: Classic) -> None:
    tool.write("exit.sh", "exit 0\n")
    done = tool.sh("wrap-install -w bin --prefix p --pre-i exit.sh t", status=int(Exit.BUILD))
    assert "take 'exit' out of it" in done.stderr
    assert not (tool.home / "p").exists()
    tool.sh("wrap-install -w bin --prefix p --post exit.sh t")
    assert tool.says("p/bin/x") == "yes"


def test_an_isolated_build_sees_what_its_commands_will_see(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path}/wheels https://example.org/wheels")
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    (tmp_path / "wheels").mkdir()
    values = {"mount_points": ["/data"], "workdir": str(tmp_path), "isolate": True}
    recipe = Pip("pip-containerize", values, tmp_path / "p", Config.load({}))
    assert recipe.seen() == [Path("/data"), tmp_path, tmp_path / "wheels"]
