"""Variables that are read while something is built, and the configuration of a site."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.channel import channel
from tests.classic import Classic
from tykky.errors import Exit

WRAP = "wrap-install -w bin --prefix p t"


@pytest.fixture
def tool(classic: Classic) -> Classic:
    """Somebody with a small tool to wrap."""
    classic.sh(
        "mkdir -p t/bin; printf '#!/bin/sh\\necho tool\\n' > t/bin/tool; chmod +x t/bin/tool"
    )
    return classic


def test_the_condarc_of_the_user_counts_on_request(classic: Classic) -> None:
    (classic.home / "channels").mkdir()
    (classic.home / "channels/elsewhere").symlink_to(channel())
    classic.write(".condarc", f"custom_channels: {{elsewhere: file://{classic.home}/channels}}\n")
    classic.write("env.yml", "channels: [elsewhere]\ndependencies: [activated]\n")
    new = "conda-containerize new --prefix p env.yml"
    alias = "TYKKY_CONDA_CHANNEL_ALIAS=http://127.0.0.1:9"
    classic.sh(f"{alias} {new}", status=None)
    assert not (classic.home / "p").exists()
    classic.sh(f"{alias} CW_ENABLE_CONDARC=1 {new}")
    assert "DATA_SITE" in classic.says("p/bin/show-data")


def shown_on_a_terminal(somebody: Classic, command: str, **env: str) -> str:
    """What a command writes on a terminal."""
    number, other = pty.openpty()
    env = {**somebody.user.env, "TERM": "xterm", **env}
    subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", command],
        env=env,
        cwd=somebody.home,
        stdin=other,
        stdout=other,
        stderr=other,
        check=False,
    )
    os.close(other)
    shown = b""
    try:
        while chunk := os.read(number, 65536):
            shown += chunk
    except OSError:
        pass  # the end of what a terminal that nobody has open any more can give
    os.close(number)
    return shown.decode()


def test_colours_may_be_switched_off(classic: Classic) -> None:
    command = "pip-containerize new --prefix p none.txt"
    assert "\x1b[31m" in shown_on_a_terminal(classic, command)
    plain = shown_on_a_terminal(classic, command, USE_COLOR="no")
    assert "there is no file none.txt" in plain
    assert "\x1b[31m" not in plain


def test_scripts_have_the_variables_of_whoever_calls(tool: Classic) -> None:
    tool.write("post.sh", "echo $CONDA_PLUGINS_AUTO_ACCEPT_TOS > $CW_INSTALLATION_PATH/terms\n")
    tool.sh(f"CONDA_PLUGINS_AUTO_ACCEPT_TOS=yes {WRAP} --post post.sh")
    assert tool.says("p/bin/_debug_exec sh -c 'cat $install_root/terms'") == "yes"


def test_a_site_has_its_configuration_beside_the_program(tool: Classic) -> None:
    """In the environment that Tykky is installed in: here, one on top of that of the tests."""
    site = tool.place / "site"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", site], check=True)
    (packages,) = site.glob("lib/python3*/site-packages")
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "on-top.pth").write_text(
        "".join(f"import site; site.addsitedir({path!r})\n" for path in ours)
    )
    program = site / "bin/wrap-install"
    text = (Path(sys.executable).parent / "wrap-install").read_text()
    program.write_text(f"#!{site}/bin/python\n" + text.partition("\n")[2])
    program.chmod(0o755)
    (site / "etc/tykky").mkdir(parents=True)
    (site / "etc/tykky/classic.yaml").write_text("defaults: {sqfs_image: site.sqfs}\n")
    tool.sh(f"{site}/bin/{WRAP}")
    assert (tool.home / "p/site.sqfs").exists()
    tool.write("mine.yaml", "defaults: {sqfs_image: mine.sqfs}\n")
    tool.sh(f"rm -r p; CW_GLOBAL_YAML=mine.yaml {site}/bin/{WRAP}")
    assert (tool.home / "p/mine.sqfs").exists()
    (site / "etc/tykky/classic.yaml").write_text("defaults: {sqfs_imgae: x}\n")
    done = tool.sh(f"rm -r p; {site}/bin/{WRAP}", status=int(Exit.CONFIG))
    assert f"{site}/etc/tykky/classic.yaml" in done.stderr


def test_who_looks_sees_what_scripts_print_while_they_run(tool: Classic) -> None:
    tool.write("post.sh", "echo from the $WHICH; echo problem >&2\n")
    shown = shown_on_a_terminal(tool, f"{WRAP} --post post.sh", WHICH="script")
    assert "from the script" in shown
    assert "problem" in shown
    assert "squash" in shown
    quiet = shown_on_a_terminal(
        tool, f"rm -r p; {WRAP} --post post.sh", WHICH="script", CW_LOG_LEVEL="1"
    )
    assert "from the script" not in quiet
    # In a batch job's log as well, with nothing that steers a terminal.
    tool.write("post.sh", "echo from the $WHICH; printf 'a \\033[1mproblem\\n' >&2\n")
    done = tool.sh(f"rm -r p; WHICH=pipe {WRAP} --post post.sh")
    assert "from the pipe\na \\x1b[1mproblem\n" in done.stdout
    assert "from the pipe" in tool.says("zcat p/.tykky/current/build.log.gz")


def test_requirements_are_seen_while_they_are_installed(classic: Classic) -> None:
    """The script that runs then finds in what is shown so far what they were."""
    classic.write("req.txt", "six==1.17.0\n")
    classic.write("post.sh", "grep -o 'six==1.17.0' shown\n")
    classic.sh("CW_LOG_LEVEL=3 pip-containerize new --prefix p --post post.sh req.txt > shown")


@pytest.mark.parametrize("level", ["2", "3"])
def test_a_failed_build_leaves_its_log_and_nothing_else(tool: Classic, level: str) -> None:
    tool.write("post.sh", "echo about to fail\nfalse\n")
    failing = f"CW_LOG_LEVEL={level} CW_BUILD_TMPDIR=$HOME/builds {WRAP} --post post.sh"
    done = tool.sh(failing, status=int(Exit.BUILD))
    (line,) = [line for line in done.stderr.splitlines() if "the whole log:" in line]
    log = Path(line.split()[-1])
    assert "about to fail" in log.read_text()
    assert "about to fail" in done.stderr
    left = [path for path in (tool.home / "builds").rglob("*") if not path.is_dir()]
    assert [path for path in left if path.stat().st_size] == [log]
    tool.write("post.sh", "true\n")
    tool.sh(failing)
    assert not log.exists()
