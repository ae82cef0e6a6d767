from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tykky import bases
from tykky.build.box import PlanBox
from tykky.config import Config
from tykky.errors import RecipeError, StepError
from tykky.lock import Lock
from tykky.tools import process
from tykky.tools.scratch import contained

DIGEST = "ab" * 32


@pytest.fixture
def box(tmp_path: Path) -> PlanBox:
    config = Config.load({"root": str(tmp_path / "t")}, {"HOME": str(tmp_path)})
    lock = Lock("tool", "1.0", "", "x86_64", {}, ())
    return PlanBox(Path("/p/tool/1.0"), tmp_path, bases.host(), lock, config)


@pytest.mark.parametrize(
    ("path", "full"),
    [
        ("bin/x", "/p/tool/1.0/bin/x"),
        (".", "/p/tool/1.0"),
        ("a/../b", "/p/tool/1.0/b"),
        ("/p/tool/1.0/lib", "/p/tool/1.0/lib"),
        ("/p/tool/1.0/../1.0/lib", "/p/tool/1.0/lib"),
    ],
)
def test_paths_count_from_the_prefix(box: PlanBox, path: str, full: str) -> None:
    assert box.inside(path) == Path(full)


@pytest.mark.parametrize(
    "path",
    ["..", "../1.0-other/x", "/p/tool/1.0x", "/etc/passwd", "a/../../x", "/p/tool/1.0/../x", "/"],
)
def test_paths_outside_of_the_prefix_are_refused(box: PlanBox, path: str) -> None:
    for call in (box.inside, lambda path: box.write(path, "")):
        with pytest.raises(StepError, match="below its prefix"):
            call(path)
    assert box.lines == []


def test_plan_shows_commands_as_a_shell_would_take_them(box: PlanBox) -> None:
    box.run("a | b > c")
    box.run(["x", "a b", Path("/y z"), "$HOME", "'"])
    assert box.lines == ["run    a | b > c", "run    x 'a b' '/y z' '$HOME' ''\"'\"''"]


def test_scripts_may_be_indented_as_the_recipe_is(box: PlanBox) -> None:
    script = """
        cat << END
          two
        END
        """
    box.run(script)
    assert box.lines == ["run    cat << END\n  two\nEND"]
    done = subprocess.run(process.words(script), capture_output=True, text=True, check=True)
    assert done.stdout == "  two\n"


def test_audit_wants_a_digest_for_what_is_fetched(box: PlanBox) -> None:
    url = "https://x.example/a/file%20name.tar.gz?q#f"
    assert box.fetch(url).name == "file name.tar.gz"
    box.strict = True
    with pytest.raises(RecipeError, match="digest"):
        box.fetch(url)
    box.fetch(url, sha256=DIGEST)
    with pytest.raises(RecipeError, match="no sha256"):
        box.fetch(url, sha256="abc")


@pytest.mark.parametrize("url", ["https://x.example/", "https://x.example/%2e%2e", "https://x/.."])
def test_file_without_a_name_is_refused(box: PlanBox, url: str) -> None:
    with pytest.raises(RecipeError, match="no name"):
        box.fetch(url, sha256=DIGEST)
    assert box.fetch(url, sha256=DIGEST, name="x").name == "x"
    with pytest.raises(RecipeError, match="no name"):
        box.fetch(url, sha256=DIGEST, name="../x")


# -- where a written file really goes -----------------------------------------------------


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    assert contained(tmp_path, Path("a/b/c")) == tmp_path / "a/b/c"
    assert (tmp_path / "a/b").is_dir()


def test_link_in_the_last_place_is_replaced(tmp_path: Path) -> None:
    root, victim = tmp_path / "root", tmp_path / "victim"
    root.mkdir()
    victim.write_text("mine")
    (root / "x").symlink_to(victim)
    contained(root, Path("x")).write_text("yours")
    assert victim.read_text() == "mine"
    assert (root / "x").read_text() == "yours"


@pytest.mark.parametrize("target", ["..", "/", "/etc", "../outside"])
def test_link_on_the_way_out_is_refused(tmp_path: Path, target: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside").mkdir()
    (root / "folder").symlink_to(target)
    for path in ("folder/x", "folder/outside/x", "folder/new/x"):
        with pytest.raises(StepError, match="leads out"):
            contained(root, Path(path))
    assert list((tmp_path / "outside").iterdir()) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["outside", "root"]


def test_link_within_the_tree_is_followed(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib64").symlink_to("lib")
    assert contained(tmp_path, Path("lib64/x")) == tmp_path / "lib/x"


def test_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(StepError):
        contained(tmp_path, Path("a/x"))
