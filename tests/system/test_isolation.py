"""What programs of a stack see of the host, at each level of isolation and with each runtime."""

from __future__ import annotations

import os
import pty
from pathlib import Path

import pytest

from tests.stacks import Site, recipe

SEES = (
    "import os, sys;"
    "print(int(os.path.exists(sys.argv[1])), os.getcwd());"
    "open('written', 'w').close(); open(os.environ['TMPDIR'] + '/t', 'w').close();"
    "open('/dev/shm/tykky-shm', 'w').close(); os.unlink('/dev/shm/tykky-shm');"
    "assert os.path.exists('/proc/self') and os.path.exists('/sys/class');"
    "open('/dev/null', 'w').close()"
)


@pytest.mark.parametrize("on", ["image", "host"])
@pytest.mark.parametrize(
    ("level", "home", "mounted", "seen"),
    [
        ("open", True, False, True),
        ("mounts", True, False, True),
        ("mounts", False, True, True),
        ("mounts", False, False, False),
        ("closed", True, True, False),
    ],
)
@pytest.mark.usefixtures("runtime")
def test_isolation_decides_what_of_the_host_is_there(
    site: Site,
    debian: Path,
    place: Path,
    outside: Path,
    on: str,
    level: str,
    home: bool,
    mounted: bool,
    seen: bool,
) -> None:
    body = f"isolation = {level!r}\ncommands = 'python*'\n"
    if on == "image":
        recipe(site, body + f"image = {str(debian)!r}")
    else:
        recipe(site, body + "packages = 'six==1.17.0'", kind="PipStack")
    points = ("-c", f"mount_points={outside}") if mounted else ()
    site(*points, "install", "wrapped")
    # Where somebody works, and what they have there, is visible at each level.
    work, tmp = outside / "work", place / "tmp"
    work.mkdir()
    tmp.mkdir()
    (outside / "other").mkdir()
    env = {"TMPDIR": str(tmp), "PWD": str(work), **({"HOME": str(outside)} if home else {})}
    command = site.prefix("wrapped") / "bin/python3"
    done = site.user.run(command, "-c", SEES, outside / "other", cwd=work, env=env)
    assert done.stdout.split() == [str(int(seen)), str(work)]
    assert (work / "written").exists() and (tmp / "t").exists()


@pytest.mark.usefixtures("runtime")
def test_closed_stack_sees_what_its_recipe_asks_for(
    site: Site, debian: Path, outside: Path
) -> None:
    (outside / "data").write_text("42\n")
    recipe(
        site,
        f"image = {str(debian)!r}\ncommands = 'cat'\nisolation = 'closed'\n"
        f"binds = '{outside}:/data'",
    )
    site("install", "wrapped")
    assert site.lmod("module load wrapped; cat /data/data").stdout == "42\n"


def test_other_isolated_stack_is_refused_with_a_clear_message(
    site: Site, debian: Path, scratch: Path
) -> None:
    recipe(
        site,
        f"image = 'docker-archive:{scratch}'\ncommands = 'hello'\nisolation = 'closed'",
        name="closed",
    )
    recipe(site, f"image = {str(debian)!r}\ncommands = 'sh'", name="open")
    site("install", "closed", "open")
    done = site.user.run(
        site.prefix("open") / "bin/sh", "-c", f"{site.prefix('closed')}/bin/hello", status=125
    )
    assert "from inside another stack" in done.stderr


# -- graphics processors ----------------------------------------------------------------------


@pytest.mark.usefixtures("runtime")
def test_stack_for_processors_that_the_node_lacks_runs_and_says_so_on_a_terminal(
    site: Site, scratch: Path
) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has an NVIDIA graphics processor")
    recipe(site, f"image = 'docker-archive:{scratch}'\ncommands = 'hello'\ngpu = 'nvidia'")
    site("install", "wrapped")
    command = site.prefix("wrapped") / "bin/hello"
    assert site.user.run(command).stderr == ""
    main, terminal = pty.openpty()
    done = site.user.run(command, stderr=terminal)
    os.close(terminal)
    said = os.read(main, 4096).decode()
    os.close(main)
    assert "hello from" in done.stdout
    assert said.splitlines() == [
        "tykky: warning: wrapped/1 is made for graphics processors of NVIDIA, "
        "and this node has none"
    ]
    assert "wrapped/1 (g)" in site.lmod("module load wrapped; module list").stderr
