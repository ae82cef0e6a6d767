"""What people write and type: read, or answered with its place and a way out, before any work."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stacks import TINY, Site
from tykky.errors import Exit

FULL = "with open('x', 'wb') as f: f.write(bytes(9 << 20))"


def assert_refused(done: object, *words: str) -> None:
    said = getattr(done, "stderr", "")
    assert "Traceback" not in said
    for word in words:
        assert word in said, said


def test_several_specs_are_checked_before_the_first_is_built(site: Site) -> None:
    site.hello("one")
    site.hello("bad", more="@property\ndef env(self): return 1 / 0")
    site.hello("lost", more="needs = 'nowhere'")
    site.hello("on-one", more="needs = 'one', 'one/1.0'\nbase = 'stack:one'")
    site.write("late", TINY.replace("six==1.17.0", "six==99"))
    for spec, code in (
        *(("one@9", Exit.SPEC), ("nothing", Exit.SPEC), ("bad", Exit.RECIPE)),
        *(("lost", Exit.NOT_FOUND), ("on-one lost", Exit.NOT_FOUND), ("late", Exit.RESOLVE)),
    ):
        done = site("install", "one", *spec.split(), status=int(code), timeout=60)
        assert "build  " not in done.stderr
        assert site.found() == []
    site("install", "one", "on-one")
    assert {entry["name"] for entry in site.found()} == {"one", "on-one"}
    done = site("install", "--keep-going", "--force", "bad", "one", status=int(Exit.RECIPE))
    assert "installed one/1.0#2" in done.stderr


def test_what_is_wrong_with_all_choices_is_told_once(site: Site) -> None:
    file = site.hello("hello", "1", "2", more="x = variant(True)")
    more = "\n    @property\n    def env(self): return 1 / 0\n"
    file.write_text("from tykky import variant\n" + file.read_text() + more)
    done = site("audit", "hello", status=int(Exit.RECIPE))
    assert done.stderr.count("division by zero") == 1
    assert "audited 4 selections, 4 of them wrong" in done.stderr


def test_an_exact_version_is_exact_for_whatever_names_it(site: Site) -> None:
    site.hello("cow", "2.0", "2.0.1", "2.1")
    site("install", "cow@2.0", "cow@2.0.1")
    site.hello("needs", more="needs = 'cow@2.0'")
    site.hello("based", more="base = 'stack:cow@2.0'")
    site("install", "needs", "based")
    for words in ("log cow@2.0", "history cow/2.0", "refresh cow@2.0", "info cow@2.0"):
        site(*words.split())
    assert [entry["version"] for entry in site.found("cow@2.0")] == ["2.0"]
    assert [entry["version"] for entry in site.found("cow@2")] == ["2.0", "2.0.1"]
    assert "2 installs" in site("uninstall", "cow@2", status=int(Exit.CONFLICT)).stderr
    site("uninstall", "cow@2.0.1")
    site("uninstall", "needs", "based")
    site("uninstall", "cow@2.0")
    assert site.found() == []


def test_a_program_whose_name_is_no_text_is_no_command(site: Site) -> None:
    step = """box.run(r"cp bin/hello bin/h$(printf '\\377')")"""
    site.hello("hello", more=f"def finish(self, box): {step}")
    file = site.repo / "hello/recipe.py"
    file.write_text(file.read_text().replace('commands = "hello"', 'commands = "*"'))
    (answer,) = site.json("install", "hello")
    assert answer["commands"] == ["hello"]


@pytest.mark.parametrize("base", ["{}", "debian:{}", "oci-archive:{}", "docker-archive:{}"])
def test_a_pipe_in_the_place_of_a_base_is_not_waited_for(site: Site, base: str) -> None:
    fifo = site.repo / "fifo"
    site.hello("hello", more=f"base = '{base.format(fifo)}'")
    os.mkfifo(fifo)
    done = site("install", "hello", status=int(Exit.BASE), timeout=60)
    assert_refused(done, str(fifo), "no regular file")


def test_a_limit_on_the_size_of_files_is_named(site: Site) -> None:
    site.hello("hello", more='def finish(self, box): box.run("head -c 9000000 /dev/zero > x")')
    done = site.user.bash("ulimit -f 6000; tykky install hello", status=int(Exit.NO_SPACE))
    assert_refused(done, "ulimit -f unlimited")


def odd_paths(place: Path) -> dict[str, str]:
    """Paths that nothing can be done with, and the settings or options that may have them."""
    os.mkfifo(place / "fifo")
    (place / "loop").symlink_to("loop")
    return {"long": f"{place}/{'a' * 300}", "fifo": f"{place}/fifo", "loop": f"{place}/loop"}


@pytest.mark.parametrize("kind", ["long", "fifo", "loop"])
def test_odd_paths_are_answered_with_a_code_of_their_own(
    site: Site, place: Path, kind: str
) -> None:
    site.hello()
    path = odd_paths(place)[kind]
    for words in (
        *(f"--root {path} install hello", f"--root {path} find", f"-c hooks={path} install hello"),
        *(f"-c build_dir={path} install hello", f"-c module_path={path} install hello"),
        *(f"-c repos={path} list", f"-c cache_dir={path} find", f"verify {path}", f"log {path}"),
    ):
        done = site(*words.split(), status=None, timeout=60)
        assert done.returncode != Exit.FAILED, words
        assert "Traceback" not in done.stderr, words
    for variable in ("TYKKY_SITE_CONFIG", "HOME", "XDG_CONFIG_HOME", "TYKKY_REPOS"):
        done = site("list", env={variable: path}, status=None, timeout=60)
        assert done.returncode != Exit.FAILED, variable
        assert "Traceback" not in done.stderr, variable


WRITERS: dict[str, Callable[[Path], object]] = {
    "a pipe": lambda path: os.mkfifo(path),
    "a loop": lambda path: path.symlink_to(path.name),
    "Latin-1": lambda path: path.write_bytes(b"a: caf\xe9\n"),
    "nested": lambda path: path.write_text("a: " + "[" * 3000),
    "a bomb": lambda path: path.write_text(
        "\n".join(f"x{k}: &a{k} [{f'*a{k - 1},' * 9 * bool(k)}]" for k in range(40))
    ),
}


@pytest.mark.parametrize("what", WRITERS)
@pytest.mark.parametrize("option", ["env", "--post-install", "-y", "CW_GLOBAL_YAML", "prefix"])
def test_files_of_classic_commands_are_read_or_refused(
    site: Site, place: Path, what: str, option: str
) -> None:
    path = place / "file.yml"
    WRITERS[what](path)
    (place / "src/bin").mkdir(parents=True)
    line = f"wrap-install {place}/src -w bin --prefix {place}/p"
    variables = {"CW_GLOBAL_YAML": str(path)} if option == "CW_GLOBAL_YAML" else {}
    if option == "env":
        line = f"conda-containerize new {path} --prefix {place}/p"
    elif option == "prefix":
        line = f"wrap-install {place}/src -w bin --prefix {path}/p"
    elif not variables:
        line += f" {option} {path}"
    program = Path(os.path.realpath(place / "bin/tykky")).with_name(line.split()[0])
    done = site.user.run(program, *line.split()[1:], env=variables, status=None, timeout=60)
    assert done.returncode > Exit.FAILED
    assert_refused(done, "error:")
