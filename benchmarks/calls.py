"""The system calls on files that a warm start makes outside of the image, counted by strace."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Row, Target
from benchmarks.subject import Subject

#: System calls that take a name or a descriptor; of these, the ones on files are counted.
_TRACED = "trace=%file,%desc,setns"
#: A name is the first string of a call that takes one; strace -y shows what a descriptor is of.
_LINE = re.compile(r"(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>\S+)")
_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"')
_DESCRIPTOR = re.compile(r"\d+<([^>]*)>")
#: Calls whose first string is data that was read, or that are not about one file.
_BY_DESCRIPTOR = {"read", "pread64", "close", "fstat", "mmap", "setns", "lseek", "fcntl"}
_NOT_ON_FILES = {"poll", "ppoll", "dup", "dup2", "dup3", "pipe2"}


@dataclass(frozen=True)
class Call:
    """One system call on a file: by its name, or by a descriptor of it."""

    name: str
    file: str
    by_name: bool


@dataclass(frozen=True)
class Start:
    """The calls of one start: the launcher's on files outside the image, and the program's."""

    launcher: tuple[Call, ...]
    program: tuple[Call, ...]


def trace(command: Path, env: dict[str, str], file: Path) -> str:
    """Run a command under strace and return what it wrote into ``file``."""
    line = ["strace", "-y", "-s", "400", "-e", _TRACED, "-o", file, command]
    subprocess.run(line, env=env, check=True, capture_output=True)
    return file.read_text(encoding="utf-8", errors="replace")


def read_trace(text: str, prefix: Path) -> Start:
    """Tell apart what the launcher did before it executed the program, and what came after.

    The first call is the caller's: it executes the launcher. From the moment that the launcher is
    in the mount namespace, what lies below ``prefix`` is in the image, and not counted.
    """
    launcher: list[Call] = []
    program: list[Call] = []
    mine, inside = launcher, False
    for line in text.splitlines()[1:]:
        call = _call(line)
        if call is None:
            continue
        of_image = inside and Path(call.file).is_relative_to(prefix)
        if not of_image:
            mine.append(call)
        if call.name == "setns" and call.file.startswith("mnt:"):
            inside = True
        if call.name == "execve":
            mine = program
    return Start(tuple(launcher), tuple(program))


def _call(line: str) -> Call | None:
    """The call on a file that a line of strace shows, if it is one."""
    matched = _LINE.match(line)
    if not matched or matched["call"] in _NOT_ON_FILES:
        return None
    name, arguments = matched["call"], matched["arguments"]
    said = _NAME.search(arguments)
    if said and said[1] and name not in _BY_DESCRIPTOR:
        return Call(name, said[1], by_name=True)
    if name == "mmap" and "-1, 0" in arguments:
        return None
    descriptor = _DESCRIPTOR.search(arguments)
    return Call(name, descriptor[1], by_name=False) if descriptor else None


def place_of(file: str, prefix: Path) -> str:
    """Where a file lies: in the stack's prefix, among the kernel's tables, in memory, elsewhere."""
    if Path(file).is_relative_to(prefix):
        return "prefix"
    if file.startswith(("/proc/", "mnt:", "user:")):
        return "/proc"
    if file.startswith(("/dev/shm/", "tykky-bench-")) or re.fullmatch(r"[0-9a-f]{32}", file):
        return "registry"
    return "elsewhere"


def measure(subject: Subject, place: Path) -> Iterator[Row]:
    """Count the calls of the second start of a program that does nothing, and explain them."""
    command = subject.stack / "true"
    env = dict(subject.env)
    subprocess.run([command], env=env, check=True)
    start = read_trace(trace(command, env, place / "trace"), subject.prefix)
    plain = read_trace(trace(subject.venv / "true", env, place / "plain"), subject.prefix)
    group = "system calls of a warm start"
    every = len(start.launcher)
    yield Row(group, "launcher, all", every, unit="calls", target=Target("value", 25))
    by_name = [call for call in start.launcher if call.by_name]
    yield Row(group, "launcher, by a file's name", len(by_name), unit="calls")
    where = Counter(place_of(call.file, subject.prefix) for call in by_name)
    for name in ("prefix", "registry", "/proc", "elsewhere"):
        yield Row(group, f"launcher, names in: {name}", where[name], unit="calls")
    loader = len(plain.launcher) + len(plain.program)
    case = "program's dynamic loader"
    yield Row(group, case, len(start.program), "the bare program", loader, unit="calls")
    explain(start)


def explain(start: Start) -> None:
    """Print every call of the launcher, so that a reader may judge each."""
    for call in start.launcher:
        print(f"  {call.name:<12} {'name' if call.by_name else 'fd  '} {call.file}")
