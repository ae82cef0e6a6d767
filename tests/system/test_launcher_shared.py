"""One mount and one server for all commands of a user, robust, and gone when nobody needs it."""

from __future__ import annotations

import getpass
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.launcher.runtimes import shared
from tests.launcher.stacks import (
    OURS,
    Stack,
    make_stack,
    running,
    start_many,
    tell,
    wait_for,
)

pytestmark = shared


@pytest.fixture
def stack(place: Path, registry: Path) -> Iterator[Stack]:
    stack = make_stack(place / "stack")
    yield stack
    assert stack.is_gone()
    assert list(registry.iterdir()) == []


def show(stack: Stack, *arguments: str, **options: Any) -> dict[str, Any]:
    done = stack.run("show", *arguments, **options)
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def keeper(stack: Stack) -> int:
    (pid,) = stack.processes("tykky-keeper")
    return pid


def server(stack: Stack) -> int:
    (pid,) = stack.processes("squashfuse_ll")
    return pid


# A keeper must not find itself idle between two commands of a slow machine.
PATIENT = 5


def test_many_cold_starts_at_once_make_one_mount(stack: Stack) -> None:
    stack = stack.change(idle=PATIENT)
    shown = start_many([stack], 64)
    assert len({(one["user_ns"], one["mount_ns"]) for one in shown}) == 1
    assert len(stack.processes("tykky-keeper")) == len(stack.processes("squashfuse_ll")) == 1


def test_many_cold_starts_of_two_stacks_make_two_mounts(stack: Stack, place: Path) -> None:
    stack = stack.change(idle=PATIENT)
    other = make_stack(place / "other", idle=PATIENT)
    shown = start_many([stack, other], 32)
    assert [one["prefix"] for one in shown] == [str(stack.prefix), str(other.prefix)] * 32
    assert len({one["mount_ns"] for one in shown}) == 2
    for one in (stack, other):
        assert len(one.processes("tykky-keeper")) == len(one.processes("squashfuse_ll")) == 1
    assert other.is_gone()


def as_somebody_else() -> list[str]:
    """Words that run a command as a user with another uid, who owns nothing here."""
    drop = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--"]
    if os.getuid() == 0:
        return drop
    lent = [line.split(":")[0] for line in Path("/etc/subuid").read_text().splitlines()]
    if getpass.getuser() not in lent:
        pytest.skip(f"/etc/subuid lends no uids to {getpass.getuser()}, so there is nobody else")
    return ["unshare", "--user", "--map-auto", "--map-root-user", "--", *drop]


def test_many_cold_starts_of_two_users_make_two_mounts(stack: Stack) -> None:
    stack = stack.change(idle=PATIENT)
    theirs = {**os.environ, "HOME": "/"}
    del theirs["TYKKY_RUNTIME_DIR"]
    one = f"{stack.command('sh')} -c 'readlink /proc/self/ns/mnt'"
    script = f"for i in $(seq 32); do {one} & done; wait"
    programs = [
        subprocess.Popen([*who, "sh", "-c", script], env=env, stdout=subprocess.PIPE, text=True)
        for who, env in ((as_somebody_else(), theirs), ([], None))
    ]
    spaces = [program.communicate()[0].split() for program in programs]
    assert [len(space) for space in spaces] == [32, 32]
    assert [len(set(space)) for space in spaces] == [1, 1]
    assert len(stack.processes("squashfuse_ll")) == len(stack.processes("tykky-keeper")) == 2


def test_a_later_command_joins(stack: Stack) -> None:
    assert show(stack)["mount_ns"] == show(stack)["mount_ns"]


def test_a_running_program_survives_the_death_of_the_keeper(stack: Stack) -> None:
    with running(stack) as program:
        killed = keeper(stack)
        os.kill(killed, signal.SIGKILL)
        assert tell(program, "import colorsys; print(colorsys.__name__)") == "colorsys"
        assert wait_for(lambda: not stack.processes("tykky-keeper"))
        # As long as it is dying, commands may still enter through it.
        assert wait_for(lambda: bool(show(stack) and stack.processes("tykky-keeper")))
        assert keeper(stack) != killed


def test_the_next_command_recovers_from_the_death_of_what_serves(stack: Stack) -> None:
    show(stack)
    for _ in range(3):
        (relay,) = stack.processes("tykky-relay")
        os.kill(relay, signal.SIGKILL)
        assert wait_for(lambda: not stack.processes("squashfuse_ll"))
        done = stack.run("show")
        assert json.loads(done.stdout)["prefix"] == str(stack.prefix), done.stderr
        assert "had died" in done.stderr
        assert stack.run("show").stderr == ""
        assert wait_for(lambda: len(stack.processes("tykky-keeper")) == 1)


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "ALRM"])
def test_signals_for_a_job_leave_keeper_and_server_alone(stack: Stack, name: str) -> None:
    with running(stack) as program:
        pids = [keeper(stack), server(stack)]
        for pid in pids:
            os.kill(pid, signal.Signals[f"SIG{name}"])
        assert tell(program, "import colorsys; print(colorsys.__name__)") == "colorsys"
        assert [keeper(stack), server(stack)] == pids


def test_idle_time_over_nothing_is_left(stack: Stack, registry: Path) -> None:
    show(stack)
    assert len(list(registry.iterdir())) == 2
    assert stack.is_gone()
    assert wait_for(lambda: not list(registry.iterdir()))


def test_a_process_reads_the_memory_of_another(stack: Stack) -> None:
    code = (
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "class Piece(ctypes.Structure):\n"
        "    _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]\n"
        "def read(pid, address, length):\n"
        "    here = ctypes.create_string_buffer(length)\n"
        "    local = Piece(ctypes.addressof(here), length)\n"
        "    done = libc.process_vm_readv(pid, ctypes.byref(local), 1,\n"
        "        ctypes.byref(Piece(address, length)), 1, 0)\n"
        "    return here.raw if done == length else os.strerror(ctypes.get_errno())\n"
        "buffer = ctypes.create_string_buffer(b'in the memory')\n"
    )
    allow = "libc.prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)\n"  # where Yama restricts it
    with running(stack, code + allow) as one, running(stack, code) as two:
        address = tell(one, "print(ctypes.addressof(buffer))")
        assert tell(two, f"print(read({one.pid}, {address}, 13))") == "b'in the memory'"
        assert tell(two, f"print(len(os.listdir('/proc/{one.pid}/fd')) > 2)") == "True"


def test_without_a_registry_each_command_has_a_mount_of_its_own(stack: Stack) -> None:
    env = {**os.environ, "TYKKY_RUNTIME_DIR": "/proc/nowhere"}
    first, second = show(stack, env=env), show(stack, env=env)
    assert first["prefix"] == str(stack.prefix)
    assert first["mount_ns"] != str(Path("/proc/self/ns/mnt").readlink())
    assert second["prefix"] == str(stack.prefix)
    assert not stack.processes("tykky-keeper")


@pytest.mark.parametrize("how", ["open", "link", "file"])
def test_an_unsafe_registry_is_refused(
    stack: Stack, place: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsafe = place / "unsafe"
    if how == "open":
        unsafe.mkdir(mode=0o755)
    elif how == "link":
        unsafe.symlink_to(place / "registry")
    else:
        unsafe.touch(mode=0o600)
    done = stack.run("show", env={**os.environ, "TYKKY_RUNTIME_DIR": str(unsafe)})
    assert done.returncode == 125
    assert str(unsafe) in done.stderr
    assert done.stderr.count("\n") == 2


def test_a_usual_place_that_somebody_else_has_taken_is_passed_over(
    stack: Stack, place: Path
) -> None:
    session = place / "session"
    session.mkdir(mode=0o700)
    script = (
        "mount -t tmpfs none /dev/shm; umask 0; "
        'mkdir /dev/shm/tykky-0 "/dev/shm/tykky-0-$(stat -Lc %i /proc/self/ns/user)"; '
        'exec "$@"'
    )
    env = {name: value for name, value in os.environ.items() if name != "TYKKY_RUNTIME_DIR"}
    inside = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc"]
    done = subprocess.run(
        [*inside, "sh", "-ec", script, "sh", stack.command("show")],
        env={**env, "XDG_RUNTIME_DIR": str(session)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["prefix"] == str(stack.prefix)
    assert [path.name for path in session.iterdir()] == ["tykky-0"]


def entry(registry: Path) -> Path:
    (found,) = (path for path in registry.iterdir() if path.is_symlink())
    return found


@pytest.mark.parametrize(
    "text",
    [
        "pid=1 start=1 user=1 mount=1",
        "garbage",
        "pid=99999999999999999999 start=1 user=1 mount=1",
        "x" * 4000,
    ],
)
def test_a_wrong_entry_is_replaced(stack: Stack, registry: Path, text: str) -> None:
    with running(stack):
        right = entry(registry)
        right.unlink()
        right.symlink_to(text)
        assert show(stack)["prefix"] == str(stack.prefix)
        assert str(entry(registry).readlink()) != text


def test_an_entry_of_a_process_number_used_again_is_not_believed(
    stack: Stack, registry: Path
) -> None:
    with running(stack):
        right = entry(registry)
        namespaces = str(right.readlink()).split(" ", 2)[2]
        right.unlink()
        right.symlink_to(f"pid={os.getpid()} start=12345 {namespaces}")
        assert show(stack)["prefix"] == str(stack.prefix)


def test_the_entry_of_a_killed_keeper_is_swept_by_the_next(
    stack: Stack, place: Path, registry: Path
) -> None:
    other = make_stack(place / "other")
    show(other)
    os.kill(keeper(other), signal.SIGKILL)
    left = entry(registry)
    assert other.is_gone()
    with running(stack):
        assert wait_for(lambda: not left.is_symlink())


def test_a_keeper_in_another_process_tree_removes_no_entry_of_a_living_one(
    stack: Stack, place: Path, registry: Path
) -> None:
    """A build's box, say, in which the numbers of processes outside mean nothing."""
    other = make_stack(place / "other")
    box = ["bwrap", "--dev-bind", "/", "/", "--unshare-user", "--unshare-pid", "--proc", "/proc"]
    with running(stack):
        living = entry(registry)
        script = f"{other.command('true')} && sleep 1"
        subprocess.run([*box, "--", "sh", "-c", script], check=True)
        assert living.is_symlink()
        assert show(stack)["prefix"] == str(stack.prefix)
        assert len(stack.processes("tykky-keeper")) == 1
    assert other.is_gone()


def test_jobs_and_steps_have_mounts_of_their_own(stack: Stack) -> None:
    def mount_of(**slurm: str) -> Any:
        return show(stack, env={**os.environ, **slurm})["mount_ns"]

    step = {"SLURM_JOB_ID": "1", "SLURM_STEP_ID": "0"}
    assert mount_of(**step) == mount_of(**step)
    others = [
        {"SLURM_JOB_ID": "1", "SLURM_STEP_ID": "1"},
        {"SLURM_JOB_ID": "2", "SLURM_STEP_ID": "0"},
        {"SLURM_JOB_ID": "1"},
        {"SLURM_JOB_ID": "2"},
        {},
    ]
    assert len({mount_of(**step), *(mount_of(**other) for other in others)}) == 6


def test_a_keeper_that_could_not_be_started_leaves_nothing(stack: Stack, registry: Path) -> None:
    broken = stack.change(servers=(Path("/bin/false"),))
    assert broken.run("show").returncode == 125
    assert list(registry.iterdir()) == []


def test_a_step_killed_as_a_whole_does_not_harm_another(stack: Stack) -> None:
    def step(number: int) -> dict[str, str]:
        return {**os.environ, "SLURM_JOB_ID": str(number), "SLURM_STEP_ID": "0"}

    with running(stack, env=step(1)):
        doomed = stack.processes()
        with running(stack, env=step(2)) as survivor:
            for pid in doomed:
                os.kill(pid, signal.SIGKILL)
            assert tell(survivor, "import colorsys; print(colorsys.__name__)") == "colorsys"


def test_a_caller_in_a_process_tree_of_its_own_is_served(stack: Stack) -> None:
    """A PID namespace whose /proc still shows the numbers outside, as some containers have."""
    if os.getuid() == 0:
        new = ["unshare", "--pid", "--fork", "--"]
    else:
        new = ["unshare", "--user", "--map-current-user", "--pid", "--fork", "--"]
    done = subprocess.run([*new, stack.command("show")], capture_output=True, text=True)
    assert json.loads(done.stdout)["prefix"] == str(stack.prefix), done.stderr


def test_commands_of_one_stack_share_inside_another(stack: Stack, place: Path) -> None:
    other = make_stack(place / "other")
    script = f"for i in 1 2; do {other.command('show')}; done"
    done = stack.run("sh", "-c", script)
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert len({one["mount_ns"] for one in shown}) == 1
    assert other.is_gone()


def test_an_unprivileged_sandbox_shares_inside_and_leaves_nothing(stack: Stack) -> None:
    script = f"for i in 1 2; do {stack.command('show')}; done"
    done = subprocess.run(
        ["bwrap", "--dev-bind", "/", "/", "--unshare-user", "--", "sh", "-c", script],
        capture_output=True,
        text=True,
    )
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(shown) == 2, done.stderr
    assert len({one["mount_ns"] for one in shown}) == 1


def test_a_limit_on_cpu_time_does_not_end_the_server(stack: Stack) -> None:
    limited = [sys.executable, "-c"]
    code = (
        "import os, resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (5, resource.RLIM_INFINITY))\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    program = subprocess.Popen([*limited, code, stack.command("sleep"), "30"])
    assert wait_for(lambda: bool(stack.processes("squashfuse_ll")))
    assert wait_for(lambda: len(stack.processes()) == len(OURS))
    limits = Path(f"/proc/{server(stack)}/limits").read_text()
    assert "Max cpu time              unlimited" in limits
    program.kill()
    program.wait()
