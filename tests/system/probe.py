"""What code of a package could try; stands alone, and is run in boxes by the tests of the promise.

``python3 probe.py PLAN.json`` prints one JSON object: the name of each attempt, and whether it got
through. ``PLAN`` says where secrets, sockets and servers of the host are.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import socket
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)


def typed() -> bool:
    """Type into a terminal that was inherited, or is whoever's called this."""
    for name in ("/dev/tty", *map(str, Path("/proc/self/fd").iterdir())):
        with contextlib.suppress(OSError):
            descriptor = os.open(name, os.O_RDWR | os.O_NOCTTY)
            if os.isatty(descriptor):
                for byte in b"touch /tmp/typed\n":
                    fcntl.ioctl(descriptor, termios.TIOCSTI, bytes([byte]))
                return True
    return False


def types_into_its_own() -> bool:
    """Use the call on a terminal that the code has made itself."""
    _, theirs = os.openpty()
    os.setsid() if os.getpid() != os.getsid(0) else None
    fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
    fcntl.ioctl(theirs, termios.TIOCSTI, b"x")
    return True


def connects(address: object, family: int) -> bool:
    """Reach a server."""
    with socket.socket(family) as client:
        client.settimeout(3)
        client.connect(address)
    return True


def reads(path: str) -> bool:
    """Read a file."""
    return bool(Path(path).read_bytes())


def writes(path: str) -> bool:
    """Write a file, and see it there afterwards is for the test."""
    Path(path).write_text("by the build")
    return True


def capable() -> bool:
    """Have any capability that means something on the host."""
    lines = Path("/proc/self/status").read_text().splitlines()
    sets = [int(line.split()[1], 16) for line in lines if line.startswith(("CapEff", "CapPrm"))]
    # Root keeps that of writing capabilities into files, on which no mount acts.
    return any(each & ~(1 << 31) for each in sets)


def remounts() -> bool:
    """Make the host writable again."""
    return LIBC.mount(None, b"/", None, 0x1000 | 0x20, None) == 0  # bind, remount


def keys() -> bool:
    """List the user's keys."""
    return LIBC.syscall(250 if os.uname().machine == "x86_64" else 219, 0, -4, 0) >= 0


def shared_memory() -> bool:
    """Attach what another process of the user shares."""
    return LIBC.shmget(0x7E57, 0, 0) >= 0


def sees_processes() -> bool:
    """See a process of the host, or look into it."""
    return any(b"see-me-if-you-can" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids())


def pids() -> list[str]:
    """All processes there are."""
    return [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]


def climbs() -> bool:
    """Leave by way of a folder that the box itself has open."""
    return any(Path(f"/proc/1/fd/{name}").is_dir() for name in os.listdir("/proc/1/fd"))  # noqa: PTH208


def traces() -> bool:
    """Take over the box itself, which is process 1."""
    if LIBC.ptrace(16, 1, 0, 0) != 0:
        return False
    LIBC.ptrace(17, 1, 0, 0)
    return True


def asks_in_memory() -> bool:
    """Make a ring for calls that no filter sees."""
    return LIBC.syscall(425, 8, ctypes.create_string_buffer(256)) >= 0


def kernel_keys() -> bool:
    """Open the kernel's ciphers, which take keys of the ring."""
    return socket.socket(38, socket.SOCK_SEQPACKET) is not None


def controls_groups() -> bool:
    """Mount the host's control groups."""
    script = "mount -t cgroup2 none /tmp && ls /tmp/cgroup.procs"
    done = subprocess.run(
        ["unshare", "-UrmC", "sh", "-c", script], capture_output=True, check=False
    )
    return done.returncode == 0


def gains_by_namespace() -> bool:
    """Become root in a namespace of one's own, and uncover the host there."""
    script = "mount -o remount,rw,bind / && touch /etc/by-the-build"
    done = subprocess.run(["unshare", "-Urm", "sh", "-c", script], capture_output=True, check=False)
    return done.returncode == 0


def main(text: str) -> None:
    """Try all of it."""
    plan = json.loads(text)
    attempts: dict[str, Callable[[], bool]] = {
        "types into the terminal": typed,
        "types into a terminal of its own": types_into_its_own,
        "has power": capable,
        "makes the host writable": remounts,
        "makes the host writable in a namespace": gains_by_namespace,
        "lists keys": keys,
        "climbs out of the box": climbs,
        "takes over the box": traces,
        "makes a ring": asks_in_memory,
        "opens the kernel's ciphers": kernel_keys,
        "controls groups": controls_groups,
        "attaches shared memory": shared_memory,
        "sees processes of the host": sees_processes,
    }
    for path in plan["secrets"]:
        attempts[f"reads {path}"] = lambda path=path: reads(path)
    for path in plan["writes"]:
        attempts[f"writes {path}"] = lambda path=path: writes(path)
    for path in plan["sockets"]:
        attempts[f"connects to {path}"] = lambda path=path: connects(path, socket.AF_UNIX)
    for name in plan["abstract"]:
        attempts[f"connects to @{name}"] = lambda name=name: connects("\0" + name, socket.AF_UNIX)
    for host, port in plan["servers"]:
        address = (host, port)
        attempts[f"connects to {host}"] = lambda address=address: connects(address, socket.AF_INET)
    for name in plan["variables"]:
        attempts[f"has the variable {name}"] = lambda name=name: name in os.environ
    answers = {}
    for name, attempt in attempts.items():
        try:
            answers[name] = attempt()
        except OSError:
            answers[name] = False
    print("PROBE " + json.dumps(answers), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text())
