"""What only the classic commands do: moves, activation, mounts by variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.classic import Classic
from tykky.errors import Exit


def test_conda_is_active_unless_it_shall_not_be(classic: Classic, conda: Path) -> None:
    ask = "import os; print(os.environ.get('CONDA_PREFIX', 'no').split('/')[-1])"
    assert classic.says(f'{conda}/bin/python -c "{ask}"') == "env1"
    assert classic.says(f'CW_NO_CONDA_ACTIVATE=1 {conda}/bin/python -c "{ask}"') == "no"
    classic.sh(f"{conda}/bin/python -m venv v")
    assert classic.says(f'v/bin/python -c "{ask}"') == "no"
    assert classic.says(f'CW_FORCE_CONDA_ACTIVATE=1 v/bin/python -c "{ask}"') == "env1"


def test_activation_scripts_of_packages_have_run(settled: Classic, conda: Path) -> None:
    shown = settled.says(f"{conda}/bin/_debug_exec env")
    assert "DATA_SITE=from the package" in shown


@pytest.mark.parametrize("how", ["mv pip-copy else", "rsync -al pip-copy/ else/"])
def test_an_installation_may_be_moved(classic: Classic, pip: Path, how: str) -> None:
    classic.sh(f"cp -a {pip} pip-copy; {how}")
    script = "import sys, tabulate; print(sys.executable, tabulate.__file__)"
    shown = classic.says(f'$HOME/else/bin/python -c "{script}"').split()
    assert shown[0] == f"{classic.home}/else/bin/python"
    assert shown[1].startswith(f"{classic.home}/else/lib")
    assert classic.says("echo 1 | else/bin/tabulate") == "-\n1\n-"
    assert "use 'mv', or 'rsync -al'" in classic.sh("tykky relocate else ./r", status=2).stderr


def test_a_prefix_bound_installation_that_was_moved_says_so(classic: Classic) -> None:
    classic.write("conf.yaml", "installation_path: prefix\n")
    classic.sh(
        "mkdir -p t/bin; printf '#!/bin/sh\\necho $0\\n' > t/bin/x; chmod +x t/bin/x;"
        "ln -s x t/bin/y;"
        "wrap-install -y conf.yaml -w bin --prefix p t"
    )
    assert classic.says("p/bin/x; ls p; p/bin/y") == f"p/bin/x\n{classic.says('ls p')}\np/bin/y"
    done = classic.sh("mv p q; q/bin/x", status=125)
    assert f"made at {classic.home}/p and now lies at {classic.home}/q" in done.stderr


def test_links_on_the_way_to_the_prefix_are_followed(classic: Classic) -> None:
    classic.sh(
        "mkdir -p real t/bin; ln -s real link;"
        "printf '#!/bin/sh\\necho yes\\n' > t/bin/x; chmod +x t/bin/x;"
        "wrap-install -w bin --prefix link/p t; ln -s $HOME/link/p/bin/x short"
    )
    assert classic.says("./short; link/p/bin/x; real/p/bin/x") == "yes\nyes\nyes"


def test_an_isolated_installation_sees_its_mount_points_only(
    settled: Classic, wrapped: Path
) -> None:
    settled.write("mine", "in my home")
    assert settled.says(f"{wrapped}/bin/hello cat $HOME/mine") == "in my home"
    settled.sh(f"{wrapped}/bin/hello cat /usr/bin/env", status=3)
    shown = settled.says(f"LD_LIBRARY_PATH=/host {wrapped}/bin/hello env").splitlines()
    assert "GREETING=good day" in shown
    assert not [line for line in shown if line.startswith("LD_LIBRARY_PATH=")]


def test_the_host_is_seen_by_what_is_not_isolated(settled: Classic, pip: Path) -> None:
    listing = "import os; print(sorted(os.listdir('/')))"
    root = settled.says(f"{pip}/bin/_debug_exec sh -c 'echo $install_root'")
    inside = eval(settled.says(f'{pip}/bin/python -c "{listing}"'))
    assert set(inside) - {root[1:]} == {path.name for path in Path("/").iterdir()}


def test_commands_run_with_apptainer_where_that_is_the_runtime(classic: Classic) -> None:
    classic = classic.with_env(TYKKY_RUNTIME="apptainer")
    classic.write("req.txt", "six\n")
    classic.sh("pip-containerize new --prefix p req.txt")
    script = "import sys, six; print(sys.executable, sys.prefix)"
    shown = classic.says(f'p/bin/python -c "{script}"').split()
    assert shown[0] == f"{classic.home}/p/bin/python"
    assert classic.says("mv p q; echo; q/bin/python -c 'import six; print(2)'").endswith("2")
    assert classic.says("q/bin/_debug_exec sh -c 'echo $APPTAINER_NAME'") == "host"


def test_more_can_be_mounted_by_a_variable(settled: Classic, pip: Path, disk: Path) -> None:
    inside = settled.says(f"{disk}/bin/_debug_exec sh -c 'echo $install_root'")
    settled.sh("mkdir -p extra; echo here > extra/file")
    more = f"{disk}/img.sqfs:{inside}:image-src=/,{settled.home}/extra:/extra-place"
    show = f"sh -c 'cat {inside}/data /extra-place/file'"
    variable = f"CW_EXTRA_BIND_MOUNTS={more}"
    assert settled.says(f"{variable} {pip}/bin/_debug_exec {show}") == "data\nhere"
    assert settled.says(f"{variable} {disk}/bin/_debug_exec {show}") == "data\nhere"
    done = settled.sh(f"CW_EXTRA_BIND_MOUNTS=here:there {pip}/bin/python -V", status=125)
    assert "CW_EXTRA_BIND_MOUNTS has 'here', which is no absolute path" in done.stderr


def test_an_installation_may_be_bound_to_its_prefix_instead(classic: Classic) -> None:
    classic.write("req.txt", "tabulate==0.9.0\n")
    classic.write(
        "bound.yaml",
        "requirements_file: req.txt\ninstallation_prefix: p\ninstallation_path: prefix\n"
        "extra_envs: [{type: set, name: COLOUR, value: blue}]\n",
    )
    classic.sh("pip-containerize advanced bound.yaml")
    prefix = classic.home / "p"
    script = "import os, sys, tabulate; print(sys.prefix, tabulate.__file__, os.environ['COLOUR'])"
    packages = f"{prefix}/lib/python3.11/site-packages"
    expected = f"{prefix} {packages}/tabulate/__init__.py blue"
    assert classic.says(f'p/bin/python -c "{script}"') == expected
    first = classic.says("p/bin/_debug_exec head -1 p/bin/tabulate")
    assert first == f"#!{prefix}/bin/python"
    classic.write("more.txt", "six\n")
    classic.sh("pip-containerize update -r more.txt p; p/bin/python -c 'import six, tabulate'")
    done = classic.sh("mv p q; q/bin/python -V", status=125)
    assert f"made at {prefix} and now lies at {classic.home}/q" in done.stderr
    classic.write("env.sh", "export A=$B\n")
    classic.sh("pip-containerize update --environ env.sh q", status=int(Exit.CONFIG))
