"""The pipeline: what a build sees, what its test sees, and what it says."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from tests.stacks import TINY, Site, listing
from tests.support import NETWORK_VARIABLES
from tykky.errors import Exit

STEPS = ("resolve", "base", "build", "finish", "squash", "test", "commit", "publish")


def told(site: Site, place: Path, step: str, script: str) -> str:
    """What a shell script prints that runs as a step of a build."""
    told = place / "told"
    write = f"Path({str(told)!r}).write_text(box.run({script!r}))"
    site.hello(more=f"def {step}(self, box):\n    from pathlib import Path\n    {write}")
    site("install", "hello")
    return told.read_text()


def test_what_a_recipe_prints_does_not_spoil_the_answer(site: Site) -> None:
    site.hello(more="def finish(self, box):\n    print('said by the recipe')")
    done = site("install", "hello", "--json")
    assert json.loads(done.stdout)["result"][0]["name"] == "hello"
    assert "said by the recipe" in done.stderr


def test_every_step_prints_one_line_with_its_time(site: Site) -> None:
    site.hello()
    lines = site("install", "hello").stderr.splitlines()
    steps = [line for line in lines if line.split()[0] in STEPS]
    assert [line.split()[0] for line in steps] == list(STEPS)
    for line in steps:
        assert re.search(r"\d (s|min)$", line)
    assert [step["name"] for step in site.record()["steps"]][:6] == list(STEPS[:6])


def test_progress_is_shown_on_a_terminal(site: Site) -> None:
    site.hello()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["tykky", "install", "hello"],
        executable=str(site.root.parent / "bin/tykky"),
        env={**site.user.env, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            said += os.read(ours, 65536)
        except OSError:  # nobody has the other end open any more
            break
    os.close(ours)
    assert process.wait() == 0
    lines = re.split(r"[\r\n]", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.decode()))
    for step in STEPS:
        assert [line for line in lines if re.fullmatch(rf"{step} .*\d s", line)], step
    assert said.count(b"\x1b[?25h") == said.count(b"\x1b[?25l"), "the cursor is shown again"


# -- what a build sees --------------------------------------------------------------------


def test_build_has_an_environment_of_its_own(site: Site, place: Path) -> None:
    secrets = {
        "PYTHONPATH": "/nowhere",
        "LD_PRELOAD": "",
        "LD_LIBRARY_PATH": "/nowhere",
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "UV_INDEX_URL": "http://127.0.0.1:9/",
        "CONDA_PREFIX": "/nowhere",
        "VIRTUAL_ENV": "/nowhere",
        "AWS_SECRET": "secret",
    }
    said = told(site.with_env(**secrets), place, "finish", "env")
    names = {line.partition("=")[0] for line in said.splitlines()}
    assert not names & set(secrets)
    assert not [name for name in names if name.startswith("TYKKY_")]
    assert "secret" not in said


def test_build_has_a_home_and_a_tmp_of_its_own(site: Site, place: Path) -> None:
    (place / "home/private").write_text("mine")
    mark = f"mark-{place.name}"
    script = f"echo $HOME; ls -A $HOME /tmp; touch /tmp/{mark} /var/tmp/{mark} $HOME/{mark}"
    home, *rest = told(site, place, "finish", script).split()
    assert home != str(place / "home")
    assert "private" not in rest
    for folder in (Path("/tmp"), Path("/var/tmp"), place / "home"):
        assert not (folder / mark).exists()


def test_build_sees_nothing_of_the_cache_that_others_use(site: Site, place: Path) -> None:
    cache = place / "cache"
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads/file").write_text("kept")
    script = f"ls -A {cache}; mkdir -p {cache}/downloads; echo x > {cache}/downloads/file"
    said = told(site.with_env(TYKKY_CACHE_DIR=str(cache)), place, "finish", script)
    assert "downloads" not in said
    assert (cache / "downloads/file").read_text() == "kept"


def test_stack_is_built_at_the_path_where_it_will_live(site: Site, place: Path) -> None:
    said = told(site, place, "finish", "pwd; ls")
    assert said.split()[0] == str(site.prefix())
    assert "bin" in said.split()


def test_user_configuration_of_uv_and_pip_is_not_read(site: Site) -> None:
    for name in (".config/uv/uv.toml", ".config/pip/pip.conf", ".pip/pip.conf", ".pypirc"):
        file = site.user.home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("this is no valid configuration [[[")
    (site.user.home / "uv.toml").write_text("[[[")
    (site.user.home / "pyproject.toml").write_text("[[[")
    site.write("tiny", TINY)
    closed = "http://127.0.0.1:9/simple"
    odd = site.with_env(
        **dict.fromkeys(("UV_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_INDEX_URL"), closed),
        UV_PYTHON="/nowhere",
        VIRTUAL_ENV="/nowhere",
        UV_OFFLINE="1",
    )
    odd("lock", "tiny")
    odd("install", "tiny")


# -- what a test sees ---------------------------------------------------------------------


def test_test_runs_the_real_commands_on_the_image(site: Site, place: Path) -> None:
    script = "command -v hello; pwd; ls -A; env"
    command, here, *rest = told(site.with_env(MY_SECRET="x"), place, "test", script).split("\n")
    assert command == f"{site.prefix()}/bin/hello"
    assert here.startswith(site.user.env["TYKKY_BUILD_DIR"])
    names = {line.partition("=")[0] for line in rest if line}
    allowed = {"PATH", "HOME", "TMPDIR", "LANG", "USER", "PWD", "OLDPWD", "SHLVL", "_"} | {
        "TYKKY_PINS"
    }
    assert names <= allowed | set(NETWORK_VARIABLES), "an empty directory, a clean environment"
    # What the test runs is the launcher on the host, not what was built.
    assert os.access(command, os.X_OK)


def test_what_was_built_is_gone_when_it_is_tested(site: Site, place: Path) -> None:
    build = site.user.env["TYKKY_BUILD_DIR"]
    said = told(site, place, "test", f"find {build} -name hello -type f")
    assert said.strip() == ""


def test_what_a_test_leaves_running_is_ended_and_waited_for_by_nobody(site: Site) -> None:
    seconds = str(200_000 + os.getpid())
    site.hello(more=f"def test(self, box):\n    box.run('hello; sleep {seconds} &')")
    site("install", "hello", timeout=60)
    left = subprocess.run(["pgrep", "-x", "-f", f"sleep {seconds}"], stdout=subprocess.PIPE)
    assert left.stdout == b""


def test_stack_that_works_only_where_it_was_built_fails_its_test(site: Site) -> None:
    """A link into the scratch directory is valid while building, and never again."""
    site.hello(
        more="""
        def finish(self, box):
            box.run('mv bin/hello "$HOME/hello" && ln -s "$HOME/hello" bin/hello && bin/hello')
        """
    )
    done = site("install", "hello", status=int(Exit.TEST))
    assert "Traceback" not in done.stderr
    assert site.found() == []


# -- files --------------------------------------------------------------------------------


def test_odd_files_survive(site: Site) -> None:
    """Names with anything in them, links, modes, big and empty files, hard links."""
    site.hello(
        more=r"""
        def finish(self, box):
            box.run(
                "mkdir -p 'a b' secret; printf x > 'a b/c\nd'; : > empty; ln -s nowhere dangling\n"
                "ln empty hard; truncate -s 100M sparse; chmod 700 secret; printf y > secret/key\n"
                "chmod 600 secret/key; chmod 4755 bin/hello; ln -s / root; mkdir -m 000 closed\n"
            )

        def assemble(self, box):
            script = "#!/bin/sh\ncd ${0%/*}/..; ls -A | tr '\\n' ' '; cat secret/key\n"
            box.run(["chmod", "+x", box.write("bin/hello", script)])
        """
    )
    site("install", "hello")
    said = site.user.run(site.prefix() / "bin/hello").stdout
    assert said == ".tykky-record.json a b bin closed dangling empty hard root secret sparse y"
    # A sparse file of 100 MB costs no space in the image.
    (image,) = site.images()
    assert image.stat().st_size < 1_000_000


def test_read_only_folders_are_cleaned_up(site: Site) -> None:
    site.hello(
        more="""
        def finish(self, box):
            box.run("mkdir -p deep/er && touch deep/er/file && chmod -R a-w deep && chmod 0 deep")
        """
    )
    site("install", "hello")
    build = Path(site.user.env["TYKKY_BUILD_DIR"])
    assert [path for path in listing(build) if not path.startswith(("logs", ".lock"))] == []


@pytest.mark.parametrize("compression", ["gzip", "lz4", "xz", "zstd"])
def test_every_compression_gives_an_image_that_runs(site: Site, compression: str) -> None:
    site.hello()
    site("install", "hello", "-c", f"squash.compression={compression}")
    assert site.user.run(site.prefix() / "bin/hello").stdout == "hello 1.0\n"


def test_deprecated_recipe_is_warned_about(site: Site) -> None:
    site.hello(more='deprecated = "use goodbye instead"')
    assert "use goodbye instead" in site("install", "hello").stderr
