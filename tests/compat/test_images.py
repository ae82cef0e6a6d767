"""Containers as people have them: with no shell, or an odd one, and in various forms."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.classic import Classic
from tests.images import docker_archive
from tykky.errors import Exit

#: The beginning of a program for another kind of machine (e_machine is 243, RISC-V).
FOREIGN = b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\xf3\0" + bytes(80)


def root(home: Path, files: dict[str, bytes]) -> Path:
    """A root directory with programs."""
    for name, data in files.items():
        path = home / "image" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755)
    return home / "image"


def with_dash(image: Path, name: str) -> None:
    """Add a shell under a name of its own, with the libraries that it has."""
    dash = shutil.which("dash")
    assert dash
    listed = subprocess.run(["ldd", dash], capture_output=True, text=True, check=True).stdout
    for source, target in ((dash, name), *((w, w) for w in listed.split() if w[0] == "/")):
        path = image / target.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, path)


@pytest.mark.parametrize("name", ["bin/sh", "bin/dash", "usr/bin/dash"])
def test_an_image_is_tried_with_the_shell_that_it_has(
    classic: Classic, hello: bytes, name: str
) -> None:
    image = root(classic.home, {"opt/hello": hello})
    with_dash(image, name)
    classic.write("env.sh", "export MINE=$HOME\n")
    classic.sh("wrap-container -w /opt --environ env.sh --prefix p image")
    assert classic.says("p/bin/_debug_exec /opt/hello") == "hello from /opt/hello"
    assert classic.says("echo 'echo $MINE' | p/bin/_debug_shell") == str(classic.home)
    assert f"MINE={classic.home}" in classic.says("p/bin/hello env")


def test_an_image_without_a_shell_is_only_looked_at(classic: Classic, hello: bytes) -> None:
    root(classic.home, {"opt/hello": hello, "foreign/bin/tool": FOREIGN, "both/tool": FOREIGN})
    shutil.copy(classic.home / "image/opt/hello", classic.home / "image/both/hello")
    classic.sh("wrap-container -w /opt --prefix p image; wrap-container -w /both --prefix q image")
    assert classic.says("p/bin/hello") == "hello from p/bin/hello"
    done = classic.sh("wrap-container -w /foreign/bin --prefix r image", status=int(Exit.BASE))
    assert "/foreign/bin/tool in the container is riscv64" in done.stderr
    classic.write("env.sh", "export MINE=$HOME\n")
    line = "wrap-container -w /opt --environ env.sh --prefix r image"
    assert "has no shell" in classic.sh(line, status=int(Exit.CONFIG)).stderr
    assert not (classic.home / "r").exists()


def test_of_several_paths_the_missing_one_is_left_out(classic: Classic, hello: bytes) -> None:
    root(classic.home, {"opt/hello": hello})
    done = classic.sh("wrap-container -w /opt/hello,/no/such/path --prefix p image")
    assert "warning: there are no programs at /no/such/path, which is left out" in done.stderr
    assert classic.says("p/bin/hello") == "hello from p/bin/hello"


def test_what_is_wrapped_has_the_path_of_the_image(classic: Classic, image: str) -> None:
    classic.sh(f"wrap-container -w /opt/tool/bin --prefix p {image}")
    own = f"PATH={classic.home}/p/bin:/opt/tool/bin:/usr/bin:/bin"
    for runtime in ("native", "apptainer"):
        shown = classic.says(f"TYKKY_RUNTIME={runtime} PATH=/mine:$PATH p/bin/hello env")
        assert own in shown.splitlines()
    given = "SINGULARITYENV_PATH=/given PATH=/mine:$PATH p/bin/hello env"
    assert own.replace("=", "=/given:", 1) in classic.says(given).splitlines()


@pytest.fixture
def layout(classic: Classic, hello: bytes) -> Classic:
    """A directory with two images, as skopeo writes it."""
    for tag in ("one", "two"):
        archive = docker_archive(classic.home / f"{tag}.tar", {f"opt/{tag}": hello})
        classic.sh(f"skopeo copy --quiet docker-archive:{archive} oci:images:{tag}")
    return classic


def test_a_layout_of_oci_is_a_container(layout: Classic) -> None:
    layout.sh("wrap-container -w /opt --prefix p oci:images:two")
    assert layout.says("p/bin/two") == "hello from p/bin/two"
    layout.sh("skopeo copy --quiet oci:images:one oci:single")
    layout.sh("wrap-container -w /opt --prefix q oci:$HOME/single")
    assert layout.says("q/bin/one") == "hello from q/bin/one"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("oci:images", "is more than one image: the layout has one, two"),
        ("oci:images:three", "is not there: the layout has one, two"),
        ("oci:missing", "missing is not there"),
        ("oci:bin", "bin is not there"),
    ],
)
def test_what_a_layout_does_not_have_is_named(layout: Classic, name: str, words: str) -> None:
    done = layout.sh(f"wrap-container -w /opt --prefix p {name}", status=int(Exit.BASE))
    assert words in done.stderr
