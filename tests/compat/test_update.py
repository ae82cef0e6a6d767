"""Updates: what they change, what they keep, and what is left when they do not succeed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.classic import Classic
from tykky.errors import Exit


def tree(prefix: Path) -> dict[str, str]:
    """What is at a prefix: links by their targets, files by their digests."""
    found = {}
    for folder, folders, files in os.walk(prefix):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink():
                found[str(path.relative_to(prefix))] = str(path.readlink())
            elif path.is_file():
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found[str(path.relative_to(prefix))] = f"{path.stat().st_mode:o} {digest}"
    return found


@pytest.fixture
def mine(classic: Classic, pip: Path) -> Iterator[Classic]:
    """Somebody with a copy of an installation in ``p``, who may change it."""
    classic.write("req.txt", "six==1.16.0\n")
    classic.sh(f"cp -a {pip} p")
    yield classic
    assert classic.says("p/bin/python -c 'import tabulate; print(1)'") == "1"


def version(classic: Classic, name: str = "six") -> str:
    return classic.says(f"p/bin/python -c 'import {name}; print({name}.__version__)'")


def test_an_update_changes_packages_and_adds_inputs(mine: Classic) -> None:
    mine.sh("pip-containerize update -r req.txt p")
    assert version(mine) == "1.16.0"
    kept = mine.home / "p/share/previous_input"
    assert (kept / "0/req.txt").read_text() != (kept / "1/req.txt").read_text()
    image = mine.home / "p/img.sqfs"
    record = json.loads(mine.says("cat p/.tykky/current/record.json"))
    assert image.resolve().name == record["images"][0]["file"]
    inside = mine.says("p/bin/_debug_exec sh -c 'ls $install_root/previous_input'")
    assert inside == "0\n1"


def test_what_runs_during_an_update_keeps_the_old_state(mine: Classic) -> None:
    script = (
        "import sys, time; print(1, flush=True); sys.stdin.readline();"
        "import six, subprocess; print(six.__version__);"
        "subprocess.run([sys.executable, '-c', 'import six; print(six.__version__)'])"
    )
    with subprocess.Popen(
        [mine.home / "p/bin/python", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=mine.user.env,
    ) as old:
        assert old.stdin is not None and old.stdout is not None
        old.stdout.readline()
        mine.sh("pip-containerize update -r req.txt p")
        assert version(mine) == "1.16.0"
        out, _ = old.communicate("\n")
    assert out.splitlines() == ["1.17.0", "1.17.0"]


def test_an_update_keeps_environ_commands_and_cache_of_before(classic: Classic) -> None:
    classic.write("env.sh", "export KEPT=yes$MORE\n")
    classic.write("more.sh", "export ADDED=$KEPT\n")
    classic.write("req.txt", "six\n")
    classic.sh(
        "pip-containerize new --nocache --prefix p --env env.sh -w /usr/bin/env req.txt;"
        "rm env.sh; pip-containerize update p --environ more.sh"
    )
    assert "pipcache: false" in (classic.home / "p/share/conf.yaml").read_text()
    shown = classic.says("MORE=! p/bin/env | sort | grep -E '^(KEPT|ADDED)='; ls p/bin")
    assert shown.splitlines()[:2] == ["ADDED=yes!", "KEPT=yes!"]
    assert "env" in shown.splitlines()


def test_a_conda_environment_is_updated_by_its_scripts(classic: Classic, conda: Path) -> None:
    classic.sh(f"cp -a {conda} p")
    classic.write("pre.sh", "echo $CONDA_PREFIX > pre.out\n")
    classic.write("post.sh", "conda install -y six=1.16\nconda activate env1\npip list > list\n")
    classic.write("req.txt", "packaging\n")
    classic.sh("conda-containerize update p --pre-i pre.sh --post-install post.sh -r req.txt")
    assert version(classic) == "1.16.0"
    assert version(classic, "packaging")
    assert "six" in (classic.home / "list").read_text()
    assert (classic.home / "pre.out").read_text() == "\n"
    assert "six" in classic.says("p/bin/list-packages")
    assert "DATA_SITE" in classic.says("p/bin/show-data")


def test_commands_that_are_gone_are_taken_away(mine: Classic) -> None:
    mine.write("post.sh", "rm $env_root/bin/tabulate; cp /bin/true $env_root/bin/added\n")
    mine.sh("pip-containerize update p --post post.sh")
    names = mine.says("ls p/bin p/_bin/").split()
    assert "tabulate" not in names
    assert names.count("added") == 2


def test_an_update_that_fails_changes_nothing(mine: Classic) -> None:
    before = tree(mine.home / "p")
    mine.write("post.sh", "rm -r $env_root/lib; false\n")
    done = mine.sh("pip-containerize update p --post post.sh", status=int(Exit.BUILD))
    assert f"{mine.home}/p is as it was" in done.stderr
    mine.write("bad.txt", "no-such-package-anywhere-1\n")
    mine.sh("pip-containerize update p -r bad.txt", status=int(Exit.UNKNOWN_PACKAGE))
    assert tree(mine.home / "p") == before
    assert version(mine) == "1.17.0"


@pytest.mark.parametrize("limit", [60, 3000])
def test_a_full_disk_leaves_the_old_state(mine: Classic, limit: int) -> None:
    before = tree(mine.home / "p")
    # Files may not grow beyond so many kilobytes: the launcher does not fit, or the image.
    done = mine.sh(f"ulimit -f {limit}; trap '' XFSZ; pip-containerize update p", status=None)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert tree(mine.home / "p") == before
    assert version(mine) == "1.17.0"


def test_an_update_that_is_killed_leaves_an_installation_that_works(mine: Classic) -> None:
    before = tree(mine.home / "p")
    started = time.monotonic()
    mine.sh("cp -a p q; pip-containerize update -r req.txt q")
    whole = time.monotonic() - started
    for part in (0.3, 0.6, 0.8, 0.9, 0.97):
        child = subprocess.Popen(
            ["bash", "-c", "exec pip-containerize update -r req.txt p"],
            env=mine.user.env,
            cwd=mine.home,
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )
        try:
            child.wait(whole * part)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        after = tree(mine.home / "p")
        if version(mine) == "1.17.0":  # then nothing that it consists of is another file
            changed = {name for name in before if after.get(name) != before[name]}
            assert not changed, part
        else:
            assert version(mine) == "1.16.0"
            break
    mine.sh("pip-containerize update -r req.txt p")
    assert version(mine) == "1.16.0"
    hidden = [path.name for path in (mine.home / "p/.tykky").iterdir()]
    assert not [name for name in hidden if name.startswith(".")]
    generations = [path.name for path in (mine.home / "p/.tykky/generations").iterdir()]
    assert all(name.isdigit() for name in generations)


def test_ctrl_c_leaves_the_old_state(mine: Classic) -> None:
    before = tree(mine.home / "p")
    mine.write("post.sh", "echo started > started; sleep 60\n")
    child = subprocess.Popen(
        ["pip-containerize", "update", "p", "--post", "post.sh"],
        executable=mine.says("command -v pip-containerize"),
        env=mine.user.env,
        cwd=mine.home,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (mine.home / "started").exists():
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=30)
    assert child.returncode == int(Exit.INTERRUPTED)
    assert "is as it was" in said
    assert tree(mine.home / "p") == before
    assert mine.says("ls $TMPDIR/tykky-classic-*") == "logs"


def test_an_installation_of_another_kind_is_refused(settled: Classic, disk: Path) -> None:
    done = settled.sh(f"pip-containerize update {disk}", status=int(Exit.CONFLICT))
    assert "is of another kind" in done.stderr


def test_new_over_an_installation_replaces_it(mine: Classic) -> None:
    mine.write("other.txt", "tabulate\n")
    mine.sh("pip-containerize new --prefix p other.txt")
    mine.sh("p/bin/python -c 'import six'", status=1)
    assert mine.says("cd p/share/previous_input; find . -type f") == "./0/other.txt"


def test_an_update_is_a_generation_that_can_be_left_again(mine: Classic) -> None:
    before = {name: text for name, text in tree(mine.home / "p").items() if name[0] != "."}
    mine.sh("pip-containerize update -r req.txt p")
    assert version(mine) == "1.16.0"
    mine.sh("tykky rollback ./p")
    after = {name: text for name, text in tree(mine.home / "p").items() if name[0] != "."}
    assert after == before
    assert version(mine) == "1.17.0"
    assert mine.says("ls p/share/previous_input") == "0"
    told = mine.says("tykky history ./p")
    assert "update" in told and "rollback" in told and "six 1.17.0 -> 1.16.0" in told


def test_a_new_state_that_does_not_work_is_not_published(mine: Classic) -> None:
    before = tree(mine.home / "p")
    # An image server that serves nothing.
    done = mine.sh(
        "TYKKY_SERVER=/bin/false pip-containerize update -r req.txt p", status=int(Exit.TEST)
    )
    assert "the commands of the new state do not work" in done.stderr
    assert tree(mine.home / "p") == before
    assert version(mine) == "1.17.0"
