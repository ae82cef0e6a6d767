"""What the pages of how-to and isolation say of the host's programs, debuggers and groups."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launcher.stacks import Stack, make_stack, running
from tests.support import new_place, remove
from tests.system.strangers import is_root


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    place = new_place()
    place.chmod(0o755)
    yield make_stack(place / "stack")
    remove(place)


def enter(pid: int) -> list[str]:
    return ["nsenter", "--user", "--mount", "--preserve-credentials", f"--target={pid}", "--"]


def test_programs_of_the_host_see_the_packages_from_inside(stack: Stack) -> None:
    file = stack.prefix / "bin/plain"
    assert not (stack.prefix / "pyvenv.cfg").exists()
    shell = f"import os; os.execlp('sh', 'sh', '-c', '/usr/bin/wc -l < {file}')"
    assert stack.run("python", "-c", shell).stdout.strip() == "1"
    with running(stack) as program:
        entered = [*enter(program.pid), "/usr/bin/wc", "-l", str(file)]
        done = subprocess.run(entered, capture_output=True, text=True)
        assert done.stdout.split() == ["1", str(file)], done.stderr


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed: apt-get install gdb")
def test_a_debugger_has_the_libraries_of_a_stack_if_it_is_inside(stack: Stack) -> None:
    with running(stack) as program:
        look = ["gdb", "-batch", "-nx", "-p", str(program.pid), "-ex", "info proc mappings"]
        done = subprocess.run([*enter(program.pid), *look], capture_output=True, text=True)
        assert str(program.pid) in done.stdout
        assert "Operation not permitted" not in done.stderr


GROUPS = """
import io, os, sys, tarfile
open(sys.argv[1]).close()
member = tarfile.open(fileobj=io.BytesIO(), mode="w").gettarinfo(sys.argv[1])
print(sorted({os.getegid(), *os.getgroups()}), member.gid)
"""


@pytest.mark.skipif(is_root(), reason="root has no user namespace, and keeps its groups")
def test_only_the_first_group_has_its_name_and_all_of_them_give_access(
    stack: Stack, place: Path
) -> None:
    place.chmod(0o755)
    file = place / "of-a-project"
    file.write_text("")
    become = ["unshare", "--user", "--map-auto", "--map-root-user", "--"]
    own = f"chgrp 61001 {file} && chmod 040 {file}"
    subprocess.run([*become, "sh", "-c", own], check=True)

    def seen(group: int, *command: str) -> str:
        groups = [f"--regid={group}", "--groups=61000,61001"]
        line = [*become, "setpriv", "--reuid=61000", *groups, "--", *command]
        env = {**os.environ, "HOME": str(place)}
        done = subprocess.run(
            [*line, "-c", GROUPS, str(file)], capture_output=True, text=True, env=env
        )
        return done.stdout.strip() or done.stderr

    assert seen(61000, "/usr/bin/python3") == "[61000, 61001] 61001"
    assert seen(61000, stack.command("python")) == "[61000, 65534] 65534"
    # As "sg project -c ..." does it.
    assert seen(61001, stack.command("python")) == "[61001, 65534] 61001"
