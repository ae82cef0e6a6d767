"""Stacks in use: any program inside, tests of what is installed, kernels, mounts for editors."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import uv

from tests import slurm
from tests.browser import browser
from tests.stacks import Site
from tests.support import DOWNLOADS
from tykky.tools import mounts
from tykky.tools.mounts import Layer

TOY = '''\
import json

from tykky.kinds.stack import Stack


class Toy(Stack):
    """Has kernels of its own."""

    homepage = "https://toy.example"
    license = "MIT"
    versions = "1.0"
    commands = "toy"
    setenv = {"TOY_HOME": "a $ b"}

    def assemble(self, box):
        for name in ("bin/toy", "libexec/hidden"):
            box.run(["chmod", "+x", box.write(name, "#!/bin/sh\\necho $TOY_HOME $0 $@\\n")])
        for name, program in {"toy": "toy", "hidden": box.prefix / "libexec/hidden"}.items():
            spec = {"argv": [str(program), "{connection_file}"], "display_name": name}
            box.write(f"share/jupyter/kernels/{name}/kernel.json", json.dumps(spec))
            box.write(f"share/jupyter/kernels/{name}/logo-svg.svg", "<svg/>")

    def test(self, box):
        box.run("toy | grep bin/toy && test -z $BREAK")
'''


def test_any_program_runs_inside_and_a_shell_has_the_name_in_its_prompt(
    installed: Site, place: Path
) -> None:
    prefix = installed.prefix("hello@1.0")
    number = (prefix / ".tykky/current").readlink().name
    tykky, script = installed, "hello $1; cat $0/bin/hello; echo $TYKKY_PINS; exit 7"
    said = tykky("exec", "hello@1.0", "--", "sh", "-c", script, prefix, "a b", status=7).stdout
    assert said == f"hello 1.0 a b\n#!/bin/sh\necho hello 1.0 $@\n{prefix}={number}\n"
    assert tykky("exec", "hello@1.0", "hello", "--json").stdout == "hello 1.0 --json\n"
    for words, status, cause in (
        (("hello@1.0", "--", "nosuch"), 127, "no program nosuch in the stack hello/1.0"),
        (("hello@1.0",), 2, "nothing says what to run"),
        (("nosuch", "--", "ls"), 6, "'nosuch' is not installed"),
    ):
        assert cause in tykky("exec", *words, status=status).stderr
    alone = tykky.user.run(prefix / ".tykky/launch", status=125).stderr
    assert "nothing says which program is to be run" in alone
    (place / ".bashrc").write_text("PATH=/usr/bin:/bin; PS1='mine$ '")
    mine, theirs = pty.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    with tykky.with_env(HOME=str(place)).start("shell", "hello@1.0", **streams) as shell:
        os.close(theirs)
        os.write(mine, b"type hello; ls %s; exit 5\n" % os.fsencode(prefix))
        seen = b""
        with contextlib.suppress(OSError):  # which is how its end is told
            while more := os.read(mine, 4096):
                seen += more
    assert shell.returncode == 5
    assert b"(hello/1.0) mine$ " in seen and b"hello is %s" % os.fsencode(prefix) in seen


def test_a_recipe_is_tested_on_what_is_installed_as_whoever_calls(site: Site) -> None:
    site.write("toy", TOY)
    site.hello("plain", more="test = Stack.test")
    site("install", "toy", "plain")
    shutil.rmtree(site.repo / "toy")  # the one that the install has kept counts
    answers = site.json("test", "--all")
    assert [(a["title"], a["result"]) for a in answers] == [
        ("plain/1.0#1", "none"),
        ("toy/1.0#1", "ok"),
    ]
    broken = site.with_env(BREAK="x")
    said = broken("test", "toy", "plain", status=15)
    assert "toy/1.0#1    failed" in said.stdout and f"a $ b {site.root}" in said.stderr
    assert broken.envelope("test", "toy", status=15)["errors"][0]["code"] == 15


@pytest.mark.slow
@pytest.mark.skipif(not slurm.is_there(), reason="Slurm is missing: tools/provision slurm")
def test_what_is_installed_is_tested_in_a_job_that_is_waited_for(site: Site, place: Path) -> None:
    site.write("toy", TOY)
    site("install", "toy")
    cluster = slurm.Cluster(place / "slurm", {"n1": ""})
    cluster.start()
    try:
        site = site.with_env(**cluster.env)
        assert "toy/1.0#1  ok" in site("test", "toy", "--srun=--time=1").stdout
        words = ("test", "toy", "--sbatch=-t 1")
        (odd := place / "at%j").mkdir()  # which Slurm takes for the number of a job
        broken = site.with_env(BREAK="x").envelope(*words, status=15, cwd=odd)
        assert broken["result"][0]["result"] == "failed"
        assert "not installed" in site("test", "nosuch", "--srun=", status=6).stderr
        for option in ("--srun=-p nosuch", "--sbatch=-p nosuch"):
            assert "invalid partition" in site("test", "toy", option, status=1).stderr
        assert not [*site.user.home.glob("tmp*")]
    finally:
        cluster.stop()


def test_kernels_have_names_of_their_own_and_go_with_their_stack(site: Site) -> None:
    site.write("toy", TOY)
    site.hello("plain")
    site("install", "toy", "plain")
    home, shared = site.user.home, site.user.home / "shared"
    own = home / ".local/share/jupyter/kernels"
    assert "has no kernel" in site("kernel", "add", "plain", status=6).stderr
    site("kernel", "add", "toy")
    assert {path.name for path in own.iterdir()} == {"toy-1.0-toy", "toy-1.0-hidden"}
    prefix = site.prefix("toy")
    for name, said in (("toy", "bin/toy"), ("hidden", "libexec/hidden")):
        spec = json.loads((own / f"toy-1.0-{name}/kernel.json").read_text())
        assert spec["display_name"] == f"toy/1.0: {name}"
        assert spec["env"] == {"PATH": f"{prefix}/bin:${{PATH}}", "TOY_HOME": "a $$ b"}
        env = {**site.user.env, "TOY_HOME": "a $ b"}
        done = site.user.run(*spec["argv"][:-1], "x", env=env, cwd="/")
        assert done.stdout == f"a $ b {prefix}/{said} x\n"
        assert (own / f"toy-1.0-{name}/logo-svg.svg").read_text() == "<svg/>"
    course = home / "courses/ml.yml"
    site("kernel", "add", "toy", "--shared", shared)
    site("kernel", "add", "toy", "--course", course)
    assert "modules: toy/1.0" in course.read_text()
    foreign = shared / "kernels/toy-1.0-toy"
    shutil.rmtree(foreign)
    foreign.mkdir()
    (foreign / "kernel.json").write_text("{}")
    assert "not made by Tykky" in site("kernel", "add", "toy", "--shared", shared, status=7).stderr
    seen = site.with_env(JUPYTER_PATH=str(shared))
    assert str(foreign) in seen("doctor", "toy", status=7).stdout
    assert [k["shadowed"] for k in seen.json("kernel", "list") if k["name"] == "toy-1.0-toy"] == [
        str(foreign)
    ]
    site("verify", "toy")
    everything = {
        own / "toy-1.0-toy",
        own / "toy-1.0-hidden",
        course,
        shared / "kernels/toy-1.0-hidden",
    }
    own.chmod(0o500)  # what cannot be removed is said, and whole
    assert "cannot be removed" in site("uninstall", "toy").stderr
    own.chmod(0o700)
    assert (own / "toy-1.0-toy/kernel.json").exists() and foreign.is_dir() and not course.exists()
    site("uninstall", "--undo", "toy")
    site("uninstall", "toy")
    assert not any(path.exists() for path in everything) and foreign.is_dir()
    site("uninstall", "--undo", "toy")
    assert all(path.exists() for path in everything)
    site("kernel", "remove", "toy-1.0-hidden", course)
    assert [k["name"] for k in site.json("kernel", "list")] == ["toy-1.0-toy"]
    shutil.rmtree(prefix)
    site("kernel", "remove", "--gone")
    assert not any(own.iterdir())


def test_a_mount_shows_the_files_of_a_stack_to_programs_outside(
    installed: Site, place: Path
) -> None:
    target, tykky = place / "look", installed
    target.mkdir()
    assert tykky("mount", "hello@1.0", target).stdout == f"{target}\n"
    try:
        tykky("mount", "hello@1.0", target)  # which changes nothing
        assert "echo hello 1.0" in (target / "bin/hello").read_text()
        (found,) = tykky.json("mount")
        assert found["target"] == str(target)
        assert "not empty" in tykky("mount", "tiny", place, status=7).stderr
    finally:
        tykky("mount", "--undo", target)
    assert tykky.json("mount") == []
    target.rmdir()  # what one has made oneself stays
    script = f"cat {target}/bin/hello; exit 4"
    tykky("mount", "hello@1.0", target, "--while", "sh", "-c", script, status=4)
    assert not target.exists()
    bare = place / "bare"  # a machine that has no fusermount3
    bare.mkdir()
    for name in ("sh", "cat", "touch", "tykky", "readlink", "env", "bash"):
        (bare / name).symlink_to(str(shutil.which(name, path=tykky.user.env["PATH"])))
    without = tykky.with_env(PATH=str(bare))
    assert "fusermount3 is not" in without("mount", "hello@1.0", target, status=24).stderr
    script += f" >&2; touch {target}/x"
    said = without("mount", "hello@1.0", target, "--while", "sh", "-c", script, status=4)
    assert "only the command" in said.stderr and not target.exists()


def test_layers_are_mounted_as_one_tree(place: Path) -> None:
    images = []
    for number, text in enumerate(("old", "new")):
        tree = place / f"tree-{number}"
        tree.mkdir()
        (tree / "same").write_text(text)
        (tree / text).touch()
        images.append(Layer(str(place / f"{number}.sqfs")))
        subprocess.run(["mksquashfs", tree, images[-1].file, "-quiet"], check=True, stdout=-3)
    target = place / "look"

    def look() -> int:
        good = {p.name for p in target.iterdir()} == {"same", "old", "new"}
        return 3 if good and (target / "same").read_text() == "new" else 1

    assert mounts.during(images, target, "", look) == 3
    if not shutil.which("fuse-overlayfs"):
        with pytest.raises(mounts.Invisible, match="fuse-overlayfs is not"):
            mounts.mount(images, target, "x", "")
    else:
        made = mounts.mount(images, target, "x", "")
        assert look() == 3
        mounts.unmount(made)
    assert not target.exists()


@contextmanager
def jupyterlab(site: Site) -> Iterator[str]:
    """The address of a JupyterLab of the site's own, from an environment beside the stacks."""
    program = DOWNLOADS / "jupyterlab/bin/jupyter-lab"
    if not program.exists():
        find = [uv.find_uv_bin(), "venv", "-q", "--clear", DOWNLOADS / "jupyterlab"]
        subprocess.run(find, check=True)
        install = [uv.find_uv_bin(), "pip", "install", "-q", "jupyterlab==4.*", "--python"]
        subprocess.run([*install, DOWNLOADS / "jupyterlab/bin/python"], check=True)
    options = ["--no-browser", "--ServerApp.token=t", "--ServerApp.port=0"]
    options += ["--ServerApp.port_retries=0", "--LabApp.news_url="]
    env = {**site.user.env, "JUPYTER_RUNTIME_DIR": str(site.user.home / "run")}
    log = (site.user.home / "jupyter.log").open("w")
    with subprocess.Popen(
        [program, *options], env=env, cwd=site.user.home, stdout=log, stderr=log
    ) as server:
        try:
            end = time.monotonic() + 60
            while not (address := _answering(site.user.home / "run")):
                assert server.poll() is None and time.monotonic() < end, "no server"
                time.sleep(0.1)
            yield address
        finally:
            server.kill()
            log.close()


def _answering(run: Path) -> str:
    """The address of a server that has told where it will be, once it is there."""
    try:
        address = str(json.loads(next(run.glob("jpserver-*.json")).read_text())["url"])
        requests.get(f"{address}api?token=t", timeout=30).raise_for_status()
    except (StopIteration, ValueError, requests.ConnectionError):
        return ""
    return address


@pytest.mark.slow
def test_a_notebook_in_a_browser_runs_on_the_kernel_of_a_stack(site: Site) -> None:
    site.write("nb", NOTEBOOKS)
    site("lock", "nb")
    site("install", "nb")
    site("kernel", "add", "nb")
    cell = {"cell_type": "code", "source": "import sys; print(6 * 7, sys.executable)", "id": "a"}
    cell |= {"metadata": {}, "outputs": [], "execution_count": None}
    note = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (site.user.home / "note.ipynb").write_text(json.dumps(note))
    with browser(site.user.home / "browser") as page, jupyterlab(site) as address:
        kernels = requests.get(f"{address}api/kernelspecs?token=t", timeout=30).json()
        assert "nb-1.0" in kernels["kernelspecs"]
        page.go(f"{address}lab/tree/note.ipynb?token=t")
        choice = "document.querySelector('.jp-Dialog select')"
        page.wait(choice)
        option = "[...s.options].find(o => o.text == 'nb/1.0').value"
        page.wait(f"(s => (s.value = {option}, s.dispatchEvent(new Event('change')), 1))({choice})")
        page.click("document.querySelector('.jp-Dialog .jp-mod-accept')")
        page.wait("document.querySelector('.jp-Toolbar-kernelName').innerText.includes('nb/1.0')")
        page.wait("document.body.innerText.includes('nb/1.0 | Idle')")
        page.click("document.querySelector('.jp-Notebook .jp-CodeCell .cm-content')")
        page.shift_enter()
        said = page.wait("document.querySelector('.jp-OutputArea-output').innerText")
        page.picture(site.user.home / "page.png")
    assert said.strip() == f"42 {site.prefix('nb')}/bin/python"


NOTEBOOKS = '''\
from tykky import PipStack


class Nb(PipStack):
    """A kernel for notebooks."""

    homepage = "https://ipython.org"
    license = "BSD-3-Clause"
    versions = "1.0"
    packages = ("ipykernel",)
    commands = "python*"
'''
