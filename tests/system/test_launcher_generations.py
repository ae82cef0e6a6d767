"""Generations of an install: which one a command reads, and what goes on while they change."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.launcher.runtimes import once
from tests.launcher.stacks import (
    APPTAINER_OPTIONS,
    Stack,
    install,
    link_commands,
    make_stack,
    running,
    squash,
    tell,
)
from tykky.runtime.base import (
    PINS,
    Bind,
    Command,
    EnvAction,
    EnvChange,
    ImageMount,
    LaunchPlan,
    Need,
    Root,
    Runtime,
    conf_path,
)

NOWHERE = Path(f"/tykky-generations-{os.getpid()}")
"""A path whose first name the host does not have."""

WHICH = {
    "bin/which": "#!/bin/sh\necho 1\n",
    "lib/which.py": "number = 1\n",
    # Where something is mounted: Apptainer makes no mount point in an image.
    "lib/more/empty": "",
}

CHILDREN = """
import os, subprocess
HELLO = "import os; print(os.readlink('/proc/self/ns/mnt'))"
WHICH = "import sys; sys.path.insert(0, sys.argv[1]); import which; print(which.number)"
def read(*line): return subprocess.check_output(line, text=True).strip()
def number(python): return read(python, "-c", WHICH, lib)
def is_same(python): return read(python, "-c", HELLO) == os.readlink("/proc/self/ns/mnt")
"""


@pytest.fixture
def stack(place: Path, registry: Path, entered_with: Runtime) -> Iterator[Stack]:
    stack = make_stack(place / "demo" / "26.11", files=WHICH, runtime=entered_with)
    yield stack
    assert stack.is_gone()


def update(stack: Stack, number: str, **fields: Any) -> Stack:
    """The next generation, whose image knows its number; it is not the current one yet."""
    tree = stack.prefix.with_name("tree")
    subprocess.run(["unsquashfs", "-q", "-n", "-d", tree, stack.image], check=True)
    (tree / "bin/which").write_text(f"#!/bin/sh\necho {number}\n")
    (tree / "lib/which.py").write_text(f"number = {number}\n")
    image = stack.image.with_name(f"img-{number}.sqfs")
    size = squash(tree, image)
    shutil.rmtree(tree)
    return stack.update(number, image=image.name, image_size=size, **fields)


def which(stack: Stack, pins: str | None = None) -> str:
    """What the command says, and what the launcher says on stderr."""
    env = {name: value for name, value in os.environ.items() if name != PINS}
    done = stack.run("which", env=env if pins is None else {**env, PINS: pins})
    return done.stdout.strip() + done.stderr


def test_a_command_is_of_the_current_generation_unless_it_is_pinned(stack: Stack) -> None:
    new = update(stack, "2")
    assert which(stack) == "1"
    assert which(stack, f"{stack.prefix}=2") == "2"
    new.switch()
    assert which(stack) == "2"
    assert which(stack, f"{stack.prefix}=1") == "1"


@once("launch.conf is read before the runtime matters")
def test_the_first_pin_of_a_place_counts_and_those_of_others_do_not(stack: Stack) -> None:
    update(stack, "2")
    place, beside = stack.prefix, stack.prefix.with_name("26.1")
    assert which(stack, f"/s/other/3=9:{place}=2:{place}=1") == "2"
    for others in (f"{beside}=2", f"{place}1=2", f"{place}/=2", f"{place}", "=2", ":::", "2", ""):
        assert which(stack, others) == "1"


@once("launch.conf is read before the runtime matters")
def test_a_place_is_known_by_a_path_through_a_symbolic_link(stack: Stack, place: Path) -> None:
    update(stack, "2")
    (place / "link").symlink_to(place)
    (place / "other" / "demo" / "26.11").mkdir(parents=True)
    assert which(stack, f"{place}/link/demo/26.11=2") == "2"
    assert which(stack, f"{place}/other/demo/26.11=2") == "1"
    assert which(stack, f"{place}/nowhere/demo/26.11=2:{place}/link/demo/26.11=2") == "2"


@once("launch.conf is read before the runtime matters")
def test_the_current_generation_is_used_when_the_pinned_one_has_gone(stack: Stack) -> None:
    new = update(stack, "2")
    new.switch()
    shutil.rmtree(conf_path(stack.prefix, "1").parent)
    assert which(stack, f"{stack.prefix}=1") == (
        f"2tykky: warning: generation 1 of {stack.plan.name} is not there any more; "
        "the current one is used\n"
    )


@once("launch.conf is read before the runtime matters")
@pytest.mark.parametrize(
    "word", ["../generations/2", "../x", ".", "2/../2", "", "2 ", "\u0663", "2\n\x1b[1m", "2" * 99]
)
def test_a_pin_that_is_no_plain_word_leads_nowhere(stack: Stack, word: str) -> None:
    update(stack, "2")
    said = which(stack, f"{stack.prefix}={word}")
    assert said.startswith("1tykky: warning: generation ")
    assert said.count("\n") == 1 and "\x1b" not in said


@once("launch.conf is read before the runtime matters")
def test_a_pinned_generation_that_is_damaged_is_an_error(stack: Stack) -> None:
    new = update(stack, "2")
    new.write("format 2\nfrobnicate yes\n")
    done = stack.run("which", env=new.pinned())
    assert done.returncode == 125
    assert f"{conf_path(stack.prefix, '2')}:2: unknown key" in done.stderr


@pytest.mark.parametrize("kind", ["over its prefix", "elsewhere"])
def test_a_running_program_and_what_it_starts_stay_of_its_generation(
    stack: Stack, kind: str
) -> None:
    """By the path in sys.executable, and by the command's name."""
    if kind == "elsewhere":
        names = ("python", "which", "sh")
        commands = [Command(name, PurePosixPath(NOWHERE, "bin", name)) for name in names]
        stack = stack.change(mount_at=NOWHERE, commands=tuple(commands))
    new = update(stack, "2")
    home = NOWHERE if kind == "elsewhere" else stack.prefix
    code = f"{CHILDREN}\npython, lib = {stack.command('python')!r}, '{home}/lib'"
    env = {**os.environ, "PATH": f"{stack.prefix}/bin:/usr/bin:/bin"}
    with running(stack, code, env=env) as program:
        new.switch()
        assert which(new) == "2"
        assert tell(program, "print(read('which'), number(python), is_same(python))") == "1 1 True"
        assert tell(program, "print(number(sys.executable))") == "1"
        assert tell(program, "print(read('sh', '-c', 'exec which'))") == "1"


def test_a_program_of_a_stack_that_stays_outside_is_pinned(stack: Stack) -> None:
    sh = Command("sh", PurePosixPath(NOWHERE, "bin", "sh"))
    changed = stack.change(mount_at=NOWHERE, commands=(sh,))
    show = f"echo ${PINS}"
    assert changed.run("sh", "-c", show).stdout.strip() == f"{stack.prefix}=1"
    other = f"/s/other/1=3:{stack.prefix}=1:/s/more/1=x:{stack.prefix}=2"
    env = {**os.environ, PINS: other}
    expected = f"{stack.prefix}=1:/s/other/1=3:/s/more/1=x"
    assert changed.run("sh", "-c", show, env=env).stdout.strip() == expected
    # Whatever a build calls a generation before it has a number is what its programs go on with.
    text = conf_path(stack.prefix, "1").read_text()
    unnumbered = conf_path(stack.prefix, "new-1a2b")
    unnumbered.parent.mkdir()
    unnumbered.write_text(text)
    done = changed.run("sh", "-c", show, env=stack.pinned("new-1a2b"))
    assert done.stdout.strip() == f"{stack.prefix}=new-1a2b", done.stderr


def test_a_stack_over_its_prefix_pins_nothing(stack: Stack) -> None:
    assert stack.run("sh", "-c", f"echo ${PINS}").stdout == "\n"


# --- needs -------------------------------------------------------------------------------------


def test_exactly_the_generation_that_is_needed_is_mounted(
    place: Path, registry: Path, entered_with: Runtime
) -> None:
    def setting(number: str) -> tuple[EnvChange, ...]:
        return (EnvChange(EnvAction.SET, "BELOW", number),)

    bottom = make_stack(place / "bottom", files=WHICH, environment=setting("1"))
    update(bottom, "2", environment=setting("2")).switch()
    for number in ("1", "2"):
        top = make_stack(
            place / f"top-{number}", needs=[Need(bottom.prefix, number)], runtime=entered_with
        )
        done = top.run("sh", "-c", f"{bottom.command('which')}; echo $BELOW")
        assert done.stdout.split() == [number, number], done.stderr
        assert top.is_gone()
    assert which(bottom) == "2"
    assert bottom.is_gone()


@once("launch.conf is read before the runtime matters")
def test_a_needed_generation_that_is_gone_or_another_one_is_refused(
    place: Path, stack: Stack
) -> None:
    top = make_stack(place / "top", needs=[Need(stack.prefix, "9")])
    done = top.run("true")
    assert done.returncode == 125
    assert "generation 9 of the install at" in done.stderr
    assert top.change(needs=[stack.need]).run("true").returncode == 0
    done = top.change(needs=[replace(stack.need, images="other.sqfs")]).run("true")
    assert done.returncode == 125
    assert "another generation 1 of demo" in done.stderr.replace("26.11/1", "demo")
    update(stack, "2")
    middle = make_stack(place / "middle", needs=[Need(stack.prefix, "1")])
    done = top.change(needs=[Need(stack.prefix, "2"), middle.need]).run("true")
    assert done.returncode == 125
    assert "needs generation 1 of demo" in done.stderr.replace("26.11/1", "demo")


def test_what_is_needed_and_stays_outside_is_pinned_too(place: Path, registry: Path) -> None:
    programs = (Command("which", PurePosixPath(NOWHERE, "bin", "which")),)
    bottom = make_stack(place / "bottom", files=WHICH, mount_at=NOWHERE)
    bottom = bottom.change(commands=programs)
    top = make_stack(place / "top", needs=[bottom.need])
    update(bottom, "2").switch()
    with running(top, "import subprocess") as program:
        line = f"print(subprocess.check_output([{bottom.command('which')!r}], text=True).strip())"
        assert tell(program, line) == "1"
    assert which(bottom) == "2"
    assert top.is_gone() and bottom.is_gone()


# --- the directory of a generation -------------------------------------------------------------


def test_files_of_the_own_generation_can_be_bound(stack: Stack) -> None:
    for number in ("1", "2"):
        own = conf_path(stack.prefix, number).parent / "notes"
        own.mkdir(parents=True)
        (own / "number").write_text(number)
    old = stack.change(binds=[Bind("$GENERATION/notes", "/mnt")])
    new = old.update("2")
    assert old.run("cat", "/mnt/number").stdout == "1"
    new.switch()
    assert old.run("cat", "/mnt/number").stdout == "2"
    assert old.run("cat", "/mnt/number", env=old.pinned()).stdout == "1"
    # Before it has its number, as a build tests it.
    folder = conf_path(stack.prefix, "2").parent
    folder.rename(folder.with_name("new-1a2b"))
    done = old.run("cat", "/mnt/number", env=old.pinned("new-1a2b"))
    assert done.stdout == "2", done.stderr


def test_a_root_can_lie_in_the_directory_of_a_generation(
    place: Path, registry: Path, entered_with: Runtime
) -> None:
    prefix = place / "rooted"
    folders = ("/usr", "/lib", "/lib64", "/bin", "/etc", str(place))
    root = conf_path(prefix, "1").parent / "root"
    root.mkdir(parents=True)
    for name in ("/lib", "/lib64", "/bin"):
        if Path(name).is_symlink():
            (root / name[1:]).symlink_to(Path(name).readlink())
    binds = [Bind(name, name) for name in folders if not (root / name[1:]).is_symlink()]
    own = PurePosixPath("$GENERATION/root")
    link_commands(prefix, ["ls"])
    stack = install(
        LaunchPlan(
            "rooted/1",
            prefix,
            mounts=(Root(own), *(bind for bind in binds if Path(bind.source).exists())),
            commands=(Command("ls", PurePosixPath("/usr/bin/ls")),),
            runtime=entered_with,
            container=own,
            options=APPTAINER_OPTIONS,
            idle=1,
        )
    )
    done = stack.run("ls", "/")
    assert done.returncode == 0, done.stderr
    assert "usr" in done.stdout.split() and "srv" not in done.stdout.split()
    assert stack.is_gone()


# --- the order of mounts -----------------------------------------------------------------------


@pytest.fixture
def sources(place: Path) -> dict[str, Path]:
    """Directories with a file that tells which one it is."""
    made = {name: place / name for name in ("one", "two", "three")}
    for name, folder in made.items():
        (folder / "below").mkdir(parents=True)
        (folder / "who").write_text(name)
        (folder / "below" / "who").write_text(f"below {name}")
    return made


def test_a_later_bind_lies_over_an_earlier_one(stack: Stack, sources: dict[str, Path]) -> None:
    one, two, three = (str(sources[name]) for name in ("one", "two", "three"))
    same = stack.change(binds=[Bind(one, "/mnt"), Bind(two, "/mnt")])
    assert same.run("cat", "/mnt/who", "/mnt/below/who").stdout == "twobelow two"
    deeper = stack.change(binds=[Bind(one, "/mnt"), Bind(two, "/mnt/below")])
    assert deeper.run("cat", "/mnt/who", "/mnt/below/who").stdout == "onetwo"
    covered = stack.change(binds=[Bind(two, "/mnt/below"), Bind(one, "/mnt")])
    assert covered.run("cat", "/mnt/who", "/mnt/below/who").stdout == "onebelow one"
    missing = Bind(f"{three}/missing", "/mnt", optional=True)
    left = stack.change(binds=[Bind(one, "/mnt"), missing])
    assert left.run("cat", "/mnt/who").stdout == "one"


def test_a_bind_lies_in_an_image_and_an_image_in_a_bind(
    stack: Stack, place: Path, sources: dict[str, Path]
) -> None:
    own = ImageMount(stack.image.name, stack.image_size, str(stack.prefix))
    inside = stack.change(mounts=(own, Bind(str(sources["one"]), f"{stack.prefix}/lib/more")))
    assert inside.run("cat", f"{stack.prefix}/lib/more/who").stdout == "one"
    assert inside.run("which").stdout == "1\n"
    (sources["two"] / stack.prefix.name).mkdir()
    around = stack.change(mounts=(Bind(str(sources["two"]), str(place / "demo")), own))
    assert around.run("cat", f"{place}/demo/who").stdout == "two"
    assert around.run("which").stdout == "1\n"


def test_an_install_may_have_several_images(stack: Stack, place: Path) -> None:
    tree = place / "more"
    tree.mkdir()
    (tree / "who").write_text("more")
    more = stack.image.with_name("more.sqfs")
    size = squash(tree, more)
    at = f"{stack.prefix}/lib/more"
    own = ImageMount(stack.image.name, stack.image_size, str(stack.prefix))
    changed = stack.change(mounts=(own, ImageMount(more.name, size, at)))
    assert changed.run("cat", f"{at}/who").stdout == "more"
    assert changed.run("which").stdout == "1\n"


def test_what_a_user_binds_comes_last_but_covers_no_image(
    stack: Stack, place: Path, sources: dict[str, Path]
) -> None:
    own = ImageMount(stack.image.name, stack.image_size, str(stack.prefix))
    one, two, three = (str(sources[name]) for name in ("one", "two", "three"))
    changed = stack.change(mounts=(own, Bind(one, "/mnt", optional=True)), relocatable=True)
    (sources["three"] / stack.prefix.name).mkdir()
    wishes = f"{two}:/mnt,{three}:{place}/demo"
    done = changed.run(
        *("cat", "/mnt/who", f"{place}/demo/who", f"{stack.prefix}/lib/which.py"),
        env={**os.environ, "CW_EXTRA_BIND_MOUNTS": wishes},
    )
    assert done.stdout == "twothreenumber = 1\n", done.stderr


def test_the_same_image_in_two_generations_is_there_once(stack: Stack) -> None:
    new = stack.update("2", environment=(EnvChange(EnvAction.SET, "NUMBER", "2"),))
    seen = [
        json.loads(new.run("show", env=new.pinned(number)).stdout)["environ"].get("NUMBER")
        for number in ("1", "2")
    ]
    assert seen == [None, "2"]
    assert [path.name for path in stack.image.parent.iterdir()] == ["img-1.sqfs"]
