"""The box: a build step sees the host, can spoil nothing of it, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.launcher.stacks import command_lines, make_stack, program, wait_for


def box(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    options.setdefault("capture_output", True)
    options.setdefault("timeout", 60)
    return subprocess.run([program("box"), *words], text=True, **options)


def shell(script: str, *options: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    return box(*options, "--", "sh", "-c", script, **more)


def test_the_host_can_be_read_and_not_written(place: Path) -> None:
    (place / "file").write_text("content")
    done = shell(f"cat {place}/file; echo x > {place}/new", "--root-readonly")
    assert done.stdout == "content"
    assert "Read-only file system" in done.stderr
    assert not (place / "new").exists()


def test_a_bound_directory_can_be_written_and_appears_at_its_target(place: Path) -> None:
    (place / "scratch").mkdir()
    (place / "target").mkdir()
    bind = ["--bind", place / "scratch", place / "target"]
    done = shell(f"echo hello > {place}/target/file", "--root-readonly", *bind)
    assert done.returncode == 0, done.stderr
    assert (place / "scratch/file").read_text() == "hello\n"
    assert not list((place / "target").iterdir())


def test_a_read_only_bind_cannot_be_written(place: Path) -> None:
    (place / "scratch").mkdir()
    done = shell(
        f"echo x > {place}/scratch/file", "--ro-bind", place / "scratch", place / "scratch"
    )
    assert "Read-only file system" in done.stderr


def test_a_source_below_tmp_survives_a_private_tmp(place: Path) -> None:
    (place / "scratch").mkdir()
    (place / "scratch/file").write_text("kept")
    options = ["--root-readonly", "--bind", place / "scratch", "/tmp/deep/down", "--tmpfs", "/tmp"]
    done = shell("ls /tmp; cat /tmp/deep/down/file", *options)
    assert done.stdout == "deep\nkept", done.stderr


def test_a_file_can_be_bound_over_a_missing_one(place: Path) -> None:
    (place / "file").write_text("kept")
    done = shell("cat /tmp/a/b", "--tmpfs", "/tmp", "--bind", place / "file", "/tmp/a/b")
    assert done.stdout == "kept", done.stderr


def test_a_mount_point_that_cannot_be_made_is_named(place: Path) -> None:
    target = place / "missing"
    done = shell("true", "--root-readonly", "--bind", place, target)
    assert done.returncode == 125
    assert str(target) in done.stderr


def test_devices_terminals_and_shared_memory_work(place: Path) -> None:
    code = (
        "import pty, os, multiprocessing.shared_memory as s\n"
        "os.openpty(); m = s.SharedMemory(create=True, size=9); m.unlink()\n"
        "open('/dev/null', 'w').write('x'); open('/dev/urandom', 'rb').read(1)\n"
    )
    done = box("--root-readonly", "--", "/usr/bin/python3", "-c", code)
    assert done.returncode == 0, done.stderr


def test_shared_memory_of_a_build_is_gone_afterwards() -> None:
    name = f"/dev/shm/tykky-test-{os.getpid()}"
    assert shell(f"echo x > {name}; ls {name}", "--root-readonly").stdout == name + "\n"
    assert not Path(name).exists()


def test_environment_and_directory_are_as_asked(place: Path) -> None:
    given = {"TYKKY_BOX_NEW": "a b=c", "TYKKY_BOX_PATH": "/usr/bin:/bin"}
    env = {**os.environ, "OLD": "1", **given}
    done = box("--own-env", "--chdir", "/usr", "--", "env", env=env)
    assert sorted(done.stdout.splitlines()) == ["NEW=a b=c", "PATH=/usr/bin:/bin"]
    assert shell("pwd", "--chdir", place).stdout.strip() == str(place)
    assert shell("pwd", cwd=place).stdout.strip() == str(place)


def test_user_and_group_stay() -> None:
    assert shell("id -u; id -g").stdout.split() == [str(os.getuid()), str(os.getgid())]


def test_exit_status_and_arguments_pass_through() -> None:
    assert shell("exit 37").returncode == 37
    done = box("--", "printf", "%s|", "", "a b", "new\nline", "'\"$HOME")
    assert done.stdout == "|a b|new\nline|'\"$HOME|"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGTERM, signal.SIGKILL])
def test_death_by_signal_passes_through(number: signal.Signals) -> None:
    assert shell(f"kill -{number:d} $$").returncode == -number


def test_a_missing_command_is_127_and_one_without_the_right_mode_126(place: Path) -> None:
    (place / "file").write_text("")
    assert box("--", "/nowhere/command").returncode == 127
    assert box("--", place / "file").returncode == 126


def test_a_wrong_option_is_refused() -> None:
    done = box("--frobnicate", "--", "true")
    assert done.returncode == 125
    assert "--frobnicate" in done.stderr


def test_stdin_and_descriptors_pass_through() -> None:
    assert shell("cat", input="hello").stdout == "hello"
    reading, writing = os.pipe()
    box("--", "bash", "-c", f"echo through >&{writing}", pass_fds=[writing])
    os.close(writing)
    assert os.read(reading, 99) == b"through\n"
    os.close(reading)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_to_the_box_reach_the_command(number: signal.Signals) -> None:
    script = f"trap 'echo got; exit 5' {number.name[3:]}; echo ready; while :; do sleep 0.05; done"
    running = subprocess.Popen(
        [program("box"), "--", "bash", "-c", script], stdout=subprocess.PIPE, text=True
    )
    assert running.stdout
    assert running.stdout.readline() == "ready\n"
    running.send_signal(number)
    assert running.stdout.read() == "got\n"
    assert running.wait() == 5


def marked(mark: str) -> list[int]:
    return [pid for pid, line in command_lines() if mark in line]


def test_what_a_command_leaves_running_ends_with_it() -> None:
    mark = f"98765.{os.getpid()}"
    assert shell(f"setsid sleep {mark} & sleep 0.2", stdout=None, stderr=None).returncode == 0
    assert wait_for(lambda: not marked(mark))


def test_nothing_survives_when_the_builder_is_killed() -> None:
    mark = f"98764.{os.getpid()}"
    script = f"setsid sleep {mark} & sleep {mark}"
    code = (
        "import os, subprocess, sys\n"
        "box, script = sys.argv[1:]\n"
        "subprocess.run([box, '--parent', str(os.getpid()), '--', 'sh', '-c', script])\n"
    )
    builder = subprocess.Popen([sys.executable, "-c", code, program("box"), script])
    assert wait_for(lambda: len(marked(f"sleep {mark} ")) >= 2)
    builder.kill()
    builder.wait()
    assert wait_for(lambda: not marked(mark))


def test_a_box_whose_parent_is_gone_does_not_start() -> None:
    assert box("--parent", "1", "--", "true").returncode == 125 or os.getppid() == 1


def test_a_stack_runs_inside_a_box(place: Path) -> None:
    stack = make_stack(place / "stack")
    done = box("--root-readonly", "--", stack.command("show"))
    assert f'"prefix": "{stack.prefix}"' in done.stdout, done.stderr
    assert stack.is_gone()


def test_a_box_runs_inside_a_box(place: Path) -> None:
    inner = [str(program("box")), "--root-readonly", "--tmpfs", "/tmp", "--", "ls", "-A", "/tmp"]
    done = box("--root-readonly", "--", *inner)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_output_ends_when_the_command_does() -> None:
    start = time.monotonic()
    shell("sleep 30 & true")
    assert time.monotonic() - start < 25
