"""The relay between the kernel and the image server: what it spares, and that nothing is lost."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launcher.stacks import Stack, make_stack, running, squash, tell, wait_for

FILES = 600
PATIENT = 3


@pytest.fixture(scope="module", autouse=True)
def own_registry() -> Iterator[None]:
    """Servers are counted: what else this user runs on the node must not touch their entries."""
    folder = tempfile.mkdtemp(prefix="tykky-registry-")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TYKKY_RUNTIME_DIR", folder)
        yield
    shutil.rmtree(folder)


@pytest.fixture
def stack(place: Path) -> Iterator[Stack]:
    stack = make_stack(place / "stack")
    yield stack
    assert stack.is_gone()


@pytest.fixture(scope="module")
def many() -> Iterator[Stack]:
    """A stack with many files of all sizes around those of blocks and of messages."""
    chance = random.Random(7)
    sizes = (0, 1, 4095, 4096, 131071, 131072, 131073, 300_000)
    files = {
        f"data/{n % 7}/{n}.bin": chance.randbytes(sizes[n % len(sizes)] // 2).hex()
        for n in range(FILES)
    }
    place = Path(tempfile.mkdtemp(prefix="tykky-many-"))
    stack = make_stack(place / "many", files=files, idle=60)
    yield stack
    for keeper in stack.processes("tykky-keeper"):
        os.kill(keeper, signal.SIGKILL)
    assert stack.is_gone()
    shutil.rmtree(place)


def one(stack: Stack, name: str) -> int:
    (pid,) = stack.processes(name)
    return pid


def reads_of(pid: int) -> int:
    """How many times a process has read from anything."""
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["syscr"])


def test_a_warm_start_asks_the_server_nothing(stack: Stack) -> None:
    stack = stack.change(idle=PATIENT)
    code = "import json, email.message, glob; open(json.__file__).close(); glob.glob('/proc/self')"
    for _ in range(2):
        stack.run("python", "-c", code, check=True)
    server = one(stack, "squashfuse_ll")
    before = reads_of(server)
    stack.run("python", "-c", code, check=True)
    assert reads_of(server) == before
    stack.run("python", "-c", "import colorsys; open(colorsys.__file__).read()", check=True)


def test_what_was_never_read_is_still_asked_of_the_server(many: Stack) -> None:
    many.run("true", check=True)
    before = reads_of(one(many, "squashfuse_ll"))
    many.run("cat", str(many.prefix / "data/1/1.bin"), check=True)
    assert reads_of(one(many, "squashfuse_ll")) > before


DIGESTS = """
import hashlib, json, os, sys
found = {}
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            found[os.path.relpath(path, sys.argv[1])] = hashlib.sha256(file.read()).hexdigest()
print(json.dumps(found))
"""


def test_many_readers_at_once_get_every_byte(many: Stack, place: Path) -> None:
    inside = [
        subprocess.Popen(
            [many.command("python"), "-c", DIGESTS, str(many.prefix / "data")],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(12)
    ]
    unpacked = place / "unpacked"
    subprocess.run(["unsquashfs", "-q", "-n", "-d", unpacked, many.image, "data"], check=True)
    expected = {
        str(path.relative_to(unpacked / "data")): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in unpacked.rglob("*.bin")
    }
    assert len(expected) == FILES
    for program in inside:
        assert json.loads(program.communicate()[0]) == expected


def test_readers_that_are_killed_do_no_harm(many: Stack) -> None:
    for _ in range(8):
        readers = [
            subprocess.Popen(
                [many.command("python"), "-c", DIGESTS, str(many.prefix / "data")],
                stdout=subprocess.DEVNULL,
            )
            for _ in range(4)
        ]
        time.sleep(0.15)
        for reader in readers:
            reader.kill()
            reader.wait()
    server = one(many, "squashfuse_ll")
    done = many.run("python", "-c", DIGESTS, str(many.prefix / "data"), check=True)
    assert len(json.loads(done.stdout)) == FILES
    assert one(many, "squashfuse_ll") == server


def test_a_directory_is_listed_whole_and_again(many: Stack, place: Path) -> None:
    folder = many.prefix / "data/3"
    code = f"import os; print(*sorted(os.listdir({str(folder)!r})))"
    once, again = (many.run("python", "-c", code, check=True).stdout for _ in range(2))
    assert once == again
    assert once.split() == sorted(f"{n}.bin" for n in range(FILES) if n % 7 == 3)


def test_positions_in_a_directory_hold(many: Stack) -> None:
    """``telldir`` and ``seekdir``, which programs such as rm and NFS servers rely on."""
    code = (
        "import ctypes, sys\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p\n"
        "libc.telldir.restype = ctypes.c_long\n"
        "libc.seekdir.argtypes = ctypes.c_void_p, ctypes.c_long\n"
        "for name in 'readdir', 'telldir': getattr(libc, name).argtypes = ctypes.c_void_p,\n"
        "folder = libc.opendir(sys.argv[1].encode())\n"
        "def next(): return ctypes.string_at(libc.readdir(folder) + 19)\n"
        "for _ in range(40): next()\n"
        "place = libc.telldir(folder); there = [next() for _ in range(9)]\n"
        "libc.seekdir(folder, place); print(there == [next() for _ in range(9)])\n"
    )
    done = many.run("python", "-c", code, str(many.prefix / "data/2"), check=True)
    assert done.stdout == "True\n"


def test_a_server_that_is_killed_is_replaced_under_running_programs(many: Stack) -> None:
    with running(many, "import hashlib, os") as program:
        for n in (3, 4):
            folder = many.prefix / f"data/{n}"
            killed = one(many, "squashfuse_ll")
            # One file is open and read in part, and none of the others has been looked at.
            start = f"f = open('{folder}/{n}.bin'); print(len(f.read(10)))"
            assert int(tell(program, start)) <= 10
            os.kill(killed, signal.SIGKILL)
            count = f"print(sum(len(open(e).read()) for e in os.scandir('{folder}')), f.read()[:1])"
            found = tell(program, count)
            expected = int(many.run("sh", "-c", f"cat {folder}/* | wc -c").stdout)
            assert found.split()[0] == str(expected)
            assert one(many, "squashfuse_ll") != killed
        assert tell(program, "import colorsys; print(colorsys.__name__)") == "colorsys"
    done = many.run("true", check=True)
    assert done.stderr == ""


def test_what_a_killed_server_had_not_answered_is_asked_of_the_next(stack: Stack) -> None:
    file = stack.prefix / "bin/plain"
    with running(stack) as program:
        assert program.stdin
        assert program.stdout
        server = one(stack, "squashfuse_ll")
        os.kill(server, signal.SIGSTOP)
        program.stdin.write(f"print(open('{file}').read(4))\n")
        program.stdin.flush()
        time.sleep(0.3)
        os.kill(server, signal.SIGKILL)
        assert program.stdout.readline() == "echo\n"


def test_an_image_that_was_replaced_has_no_other_server(stack: Stack) -> None:
    with running(stack) as program:
        image = stack.image.read_bytes()
        stack.image.unlink()
        stack.image.write_bytes(image)
        os.kill(one(stack, "squashfuse_ll"), signal.SIGKILL)
        code = f"open('{stack.prefix}/bin/sleep')"
        say = f"exec({f'try: {code}{chr(10)}except OSError as e: print(e.errno)'!r})"
        assert int(tell(program, say)) in (errno.ENOTCONN, errno.ECONNABORTED)


def test_relay_and_server_end_together_and_the_next_command_recovers(stack: Stack) -> None:
    stack = stack.change(idle=PATIENT)
    stack.run("true", check=True)
    os.kill(one(stack, "tykky-relay"), signal.SIGKILL)
    ended = ("tykky-relay", "squashfuse_ll")
    assert wait_for(lambda: not any(stack.processes(name) for name in ended))
    done = stack.run("true", check=True)
    assert "had died" in done.stderr
    assert all(len(stack.processes(name)) == 1 for name in ended)


def test_a_server_that_stands_still_keeps_readers_waiting_and_loses_nothing(many: Stack) -> None:
    """More requests than a socket holds wait for it: names that nobody has asked for yet."""
    many.run("true", check=True)
    server = one(many, "squashfuse_ll")
    os.kill(server, signal.SIGSTOP)
    code = (
        "import os, sys, threading\n"
        "def read(n): results[n] = os.path.exists(f'{sys.argv[1]}/{n % 7}/{n}.none')\n"
        "results = {}\n"
        "threads = [threading.Thread(target=read, args=(n,)) for n in range(600)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "print(len(results))\n"
    )
    data = str(many.prefix / "data")
    # Its own interpreter lies outside of the image.
    waiting = subprocess.Popen(
        [many.command("sh"), "-c", 'exec /usr/bin/python3 -S -c "$0" "$1"', code, data],
        stdout=subprocess.PIPE,
        text=True,
    )
    time.sleep(1.5)
    assert waiting.poll() is None
    os.kill(server, signal.SIGCONT)
    assert waiting.communicate(timeout=60)[0] == f"{FILES}\n"


def attributes(stack: Stack, path: Path) -> str:
    code = (
        "import os, sys\n"
        "try: print(os.listxattr(sys.argv[1]), os.getxattr(sys.argv[1], 'user.kind'))\n"
        "except OSError as error: print(error.errno)\n"
    )
    return stack.run("python", "-c", code, str(path), check=True).stdout.strip()


def test_extended_attributes_of_an_image_are_seen(stack: Stack, place: Path) -> None:
    assert attributes(stack, stack.prefix / "bin/true") == str(errno.EOPNOTSUPP)
    tree = place / "tree"
    tree.mkdir()
    subprocess.run(["unsquashfs", "-q", "-n", "-f", "-d", tree, stack.image], check=True)
    try:
        os.setxattr(tree / "bin/true", "user.kind", b"demo")
    except OSError:
        pytest.skip("the file system of this directory has no extended attributes")
    image = stack.image.with_name("img-2.sqfs")
    changed = stack.change(image=image.name, image_size=squash(tree, image))
    assert attributes(changed, stack.prefix / "bin/true") == "['user.kind'] b'demo'"
