"""What is in a store, and what becomes of it: find, info, log, uninstall, gc."""

from __future__ import annotations

import grp
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.stacks import TINY, Site, listing
from tykky.errors import Exit

# -- what an install is -------------------------------------------------------------------


def test_an_install_is_a_handful_of_files_and_says_how_many(installed: Site) -> None:
    said = (installed.user.home / "said").read_text()
    told = re.search(r"installed tiny\S+ in .*: (\d+) files and folders and (\d+) commands", said)
    assert told is not None
    prefix = installed.prefix("tiny")
    commands = listing(prefix / "bin")
    assert int(told[2]) == len(commands)
    generation, images = listing(installed.generation("tiny")), installed.images("tiny")
    assert int(told[1]) == len(generation) + 1 + len(images) == len(generation) + 2
    assert len(listing(prefix)) - len(commands) - int(told[1]) < 10, "for all generations"
    assert int(told[1]) < 40
    assert installed("find", "tiny", "--format", "{files}").stdout == f"{told[1]}\n"
    inodes = {(prefix / "bin" / name).stat().st_ino for name in commands}
    assert inodes == {(prefix / ".tykky/launch").stat().st_ino}, "one link for each command"


def test_the_same_lock_gives_the_same_image_in_the_same_root(site: Site) -> None:
    site.write("tiny", TINY)
    site("lock", "tiny")

    def install() -> tuple[str, bytes]:
        site("install", "tiny")
        (image,) = site.record("tiny")["images"]
        return image["sha256"], (site.prefix("tiny") / ".tykky/images" / image["file"]).read_bytes()

    digest, image = install()
    site("uninstall", "tiny")
    site("gc", "--days", "0")
    assert install() == (digest, image)


def test_installing_again_changes_nothing(site: Site) -> None:
    site.hello()
    site("install", "hello")
    before = {path: (site.root / path).stat().st_mtime_ns for path in listing(site.root)}
    said = site("install", "hello").stderr
    assert "installed already" in said
    after = {path: (site.root / path).stat().st_mtime_ns for path in listing(site.root)}
    assert after == before


def test_a_plan_tells_every_step_and_does_nothing(site: Site, installed: Site) -> None:
    site.write("tiny", TINY)
    shutil.copytree(installed.repo / "tiny/locks", site.repo / "tiny/locks")
    plan = site("install", "--plan", "tiny").stdout
    for words in ("resolve", "build", "finish", "squash", "test", "commit", "publish"):
        assert re.search(f"^{words}$", plan, re.M)
    assert "tabulate --help" in plan
    (told,) = site.json("install", "--plan", "tiny")
    assert told["installed"] is False
    assert listing(site.root) == []
    assert not Path(site.user.env["TYKKY_BUILD_DIR"]).exists()
    (really,) = installed.json("install", "--plan", "tiny")
    assert really["installed"] is True
    assert Path(really["prefix"]) == installed.prefix("tiny")
    assert really["build"] == told["build"], "the root is no part of what a stack is"


def test_install_answers_as_json(site: Site) -> None:
    site.hello()
    (answer,) = site.json("install", "hello")
    assert answer["did"] == "built"
    assert answer["prefix"] == str(site.prefix("hello"))
    (answer,) = site.json("install", "hello")
    assert answer["did"] == "nothing"


@pytest.mark.parametrize("name", ["link/t", "ä'b$c;d\"e\\f#g%s"])
def test_root_may_have_any_name_that_scripts_can_say(site: Site, place: Path, name: str) -> None:
    (place / "real").mkdir()
    (place / "link").symlink_to("real")
    site.write("tiny", TINY)
    odd = site.with_env(TYKKY_ROOT=str(place / name).replace("$", "$$"))
    odd("install", "tiny")
    prefix = odd.prefix("tiny")
    assert prefix.is_relative_to(place / name)
    said = odd.user.bash(
        f". /usr/share/lmod/lmod/init/bash; module use {shell_word(place / name / 'modules')}\n"
        "module load tiny; command -v python; python -c 'import sys; print(sys.executable)'\n"
        'python -c \'import subprocess; subprocess.run(["tabulate", "--help"], check=True)\''
    ).stdout.splitlines()
    assert said[:2] == [f"{prefix}/bin/python"] * 2
    assert said[2].startswith("Usage: tabulate")


def shell_word(path: Path) -> str:
    """A path as bash takes it literally."""
    return "'" + str(path).replace("'", "'\\''") + "'"


@pytest.mark.parametrize("umask", [0o077, 0o027, 0o000])
def test_modes_of_the_configuration_win_over_the_umask(site: Site, umask: int) -> None:
    site.hello()
    group = grp.getgrgid(os.getgid()).gr_name
    modes = ("dir_mode=0751", "file_mode=0640", f"group={group}", "setgid=true")
    settings = [word for mode in modes for word in ("-c", f"permissions.{mode}")]
    done = site("install", "hello", *settings, umask=umask)
    assert done.returncode == 0
    for path in [site.root, *(site.root / name for name in listing(site.root))]:
        if path.is_symlink():
            continue
        status = path.lstat()
        mode = status.st_mode & 0o7777
        if path.is_dir():
            assert oct(mode) == oct(0o2751), path
        elif path.parent.name == "bin" or path.name == "launch":
            assert oct(mode) == oct(0o750), path
        elif path.name in (".lock", "lock"):  # only who may write there can hold others up
            assert oct(mode) == oct(0o600), path
        else:
            assert oct(mode) == oct(0o640), path
        assert status.st_gid == os.getgid()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may give files to any group")
@pytest.mark.parametrize("key", ["group=", "module_group=", "restricted=hello="])
@pytest.mark.parametrize(("group", "code"), [("nobody-has-it", Exit.CONFIG), ("root", 21)])
def test_a_group_that_cannot_be_given_is_said_before_anything_is_built(
    site: Site, key: str, group: str, code: int
) -> None:
    site.hello()
    done = site("install", "hello", "-c", f"permissions.{key}{group}", status=int(code))
    assert f"group '{group}'" in done.stderr
    assert "Traceback" not in done.stderr
    assert "build" not in [line.split()[0] for line in done.stderr.splitlines()]


# -- asking -------------------------------------------------------------------------------


def test_find_lists_by_name_version_and_choice(installed: Site) -> None:
    names = [entry["module"] for entry in installed.found()]
    assert names == ["hello/0.9", "hello/1.0", "tiny/1.0"]
    assert [entry["module"] for entry in installed.found("hello@0.9")] == ["hello/0.9"]
    assert [entry["module"] for entry in installed.found("hello/1.0")] == ["hello/1.0"]
    assert installed.found("hello@3") == []
    installed("find", "hello@3", status=int(Exit.NOT_FOUND))
    table = installed("find").stdout.splitlines()
    assert [line.split()[0] for line in table] == ["MODULE", *names]


def test_find_prints_any_field(installed: Site) -> None:
    assert installed("find", "--format", "{name}/{version} {prefix}", "tiny").stdout == (
        f"tiny/1.0 {installed.prefix('tiny')}\n"
    )
    said = installed(
        "find", "--format", "{{{generation}}} {by[user]} {images[0][bytes]:>12}", "tiny"
    )
    assert re.fullmatch(r"\{1\} \S+ [ 0-9]{12}\n", said.stdout)


def test_versions_are_sorted_as_versions(site: Site) -> None:
    site.hello("hello", "1.10", "1.9", "1.0")
    site("install", "hello@1.10", "hello@1.9", "hello@1.0")
    assert [e["version"] for e in site.found()] == ["1.0", "1.9", "1.10"]


def test_info_tells_of_recipe_and_installs(installed: Site) -> None:
    facts = installed.json("info", "hello")
    assert facts["versions"] == ["1.0", "0.9"]
    assert [each["module"] for each in facts["installed"]] == ["hello/0.9", "hello/1.0"]
    text = installed("info", "tiny").stdout
    for words in ("tabulate==0.9.0", str(installed.prefix("tiny")), "MIT", "pip"):
        assert words in text


def test_log_of_an_install_is_kept_with_it(installed: Site) -> None:
    log = installed("log", "tiny").stdout
    assert "tabulate --help" in log
    path = Path(installed("log", "tiny", "--path").stdout.strip())
    assert path.is_relative_to(installed.prefix("tiny"))
    # A build that succeeds leaves nothing in the build directory.
    assert not list(Path(installed.user.env["TYKKY_BUILD_DIR"]).glob("logs/*"))


def test_log_of_a_failed_build_is_that_of_the_recipe_named(site: Site) -> None:
    for name in ("hello", "hello-world"):
        site.hello(name, more=f"def test(self, box):\n    box.run('echo I am {name}.; false')")
        site("install", name, status=int(Exit.TEST))
    assert "I am hello." in site("log", "hello").stdout
    assert "I am hello-world." in site("log", "hello-world").stdout
    assert "I am hello." in site("log", "--failed", "hello").stdout


def test_entry_that_cannot_be_read_is_left_out_and_told_of(site: Site) -> None:
    site.hello("hello", "1.0", "0.9")
    site("install", "hello@1.0", "hello@0.9")
    broken = site.root / "db/hello/0.9.json"
    for text in ("", "{", "[]", "5", '{"format": 1}', '{"format": 99}', '{"format": 1, "name": 5}'):
        broken.write_text(text)
        done = site("find", "--json")
        found = json.loads(done.stdout)["result"]
        assert [entry["module"] for entry in found] == ["hello/1.0"], text
        assert str(broken) in done.stderr, text
        assert "Traceback" not in done.stderr
    site("install", "hello@1.0")
    site("uninstall", "hello/1.0")


def test_damaged_record_is_said_to_be_and_install_makes_another(site: Site) -> None:
    site.hello()
    site("install", "hello")
    for number, text in enumerate(("", "{", "[]", '{"format": 1}'), 1):
        record = site.generation("hello") / "record.json"
        record.write_text(text)
        for verb in ("refresh", "verify"):
            done = site(verb, "hello", status=int(Exit.DAMAGED))
            assert str(record) in done.stderr + done.stdout
            assert "Traceback" not in done.stderr
        (answer,) = site.json("install", "hello")
        assert (answer["did"], answer["generation"]) == ("built", number + 1)
    assert site.lmod("module load hello; hello").stdout == "hello 1.0\n"
    assert [e["problem"] == "" for e in site.json("history", "hello")["generations"]] == [
        *[False] * 4,
        True,
    ]
    assert len(site.json("gc", "--days", "0")["generations"]) == 4
    site("verify")


# -- uninstalling -------------------------------------------------------------------------


def test_uninstall_goes_by_spec_module_name_and_path(site: Site) -> None:
    site.hello("hello", "3.0", "2.0", "1.0")
    site("install", "hello@1.0", "hello@2.0", "hello@3.0")
    done = site("uninstall", "hello", status=int(Exit.CONFLICT))
    assert "hello/1.0" in done.stderr
    site("uninstall", "hello/1.0")
    site("uninstall", "hello@2.0")
    (last,) = site.found()
    site("uninstall", last["prefix"])
    assert site.found() == []
    assert site.modulefiles() == []
    site("gc", "--days", "0")
    assert listing(site.root / "store") == []


def test_uninstall_of_several_is_all_or_nothing(site: Site) -> None:
    site.hello("hello", "2.0", "1.0")
    site("install", "hello@1.0", "hello@2.0")
    site("uninstall", "hello/1.0", "hello/3.0", status=int(Exit.NOT_FOUND))
    assert len(site.found()) == 2
    site("uninstall", "hello/1.0", "hello/2.0", "hello@1.0")
    assert site.found() == []


def needing(site: Site) -> None:
    """Two recipes, the second of which needs the first."""
    site.hello("lower")
    site.hello("upper", more='needs = "lower"')


def test_stack_that_needs_another_is_refused_without_it(site: Site) -> None:
    needing(site)
    done = site("install", "upper", status=int(Exit.NOT_FOUND))
    assert "tykky install lower" in done.stderr
    site("install", "lower", "upper")
    assert [entry["module"] for entry in site.found()] == ["lower/1.0", "upper/1.0"]


def test_stack_that_another_needs_is_not_uninstalled(site: Site) -> None:
    needing(site)
    site("install", "lower", "upper")
    done = site("uninstall", "lower", status=int(Exit.CONFLICT))
    assert "upper/1.0" in done.stderr
    assert len(site.found()) == 2
    assert site.lmod("module load lower; hello").stdout == "hello 1.0\n"
    site("uninstall", "lower", "upper")
    assert site.found() == []


def test_gc_deletes_nothing_that_it_does_not_know(site: Site) -> None:
    site.hello()
    site("install", "hello")
    site("uninstall", "hello")
    foreign = site.root / "trash/notes"
    foreign.write_text("mine")
    site("gc", "--days", "0")
    assert listing(site.root / "trash") == ["notes"]


def test_uninstalling_what_lost_its_files_works(site: Site) -> None:
    site.hello()
    site("install", "hello")
    shutil.rmtree(site.prefix("hello"))
    site("uninstall", "hello")
    assert site.found() == []
    assert site.modulefiles() == []


def test_unfinished_download_of_a_record_is_no_install(site: Site) -> None:
    """Litter in the store (of a copy, or an editor) disturbs nobody."""
    site.hello()
    site("install", "hello")
    for path in ("db/hello/.1.0.json.swp", "db/README", "db/hello/x.json~", "store/x", "modules/y"):
        (site.root / path).write_text("litter")
    (site.root / "db/hello/folder").mkdir()
    (site.root / "db/hello/folder.json").mkdir()
    assert [entry["module"] for entry in site.found()] == ["hello/1.0"]
    site("uninstall", "hello")
    assert site.found() == []
