"""Whether this node lets an ordinary user mount an image: each part is really tried.

The trial runs in a child process that makes namespaces, mounts on them, and ends; nothing of
it is seen outside. It takes the steps of the launcher, in the launcher's order.

Public names: ``probes``.
"""

from __future__ import annotations

import os
import platform
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tykky.doctor.probe import Probe

_FUSE = Path("/dev/fuse")
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REC, _MS_SLAVE = 1, 2, 4, 1 << 14, 1 << 19

_ALLOW = "ask the administrator to allow user namespaces on this node"
_SWITCHES = {
    "user/max_user_namespaces": "0",
    "kernel/unprivileged_userns_clone": "0",
    "kernel/apparmor_restrict_unprivileged_userns": "1",
}


def probes() -> Iterator[Probe]:
    """The kernel, user namespaces, /dev/fuse, and a FUSE mount in such a namespace."""
    yield _kernel()
    stage, error = _trial()
    yield _namespace(stage, error)
    yield _device()
    yield _mount(stage, error)


def _kernel() -> Probe:
    release = platform.release()
    found = re.match(r"(\d+)\.(\d+)", release)
    if found and (int(found[1]), int(found[2])) >= (4, 18):
        return Probe("kernel", "run", "ok", f"Linux {release}")
    return Probe(
        "kernel",
        "run",
        "no",
        f"Linux {release} is older than 4.18",
        "mounting images without privileges needs Linux 4.18: use a newer node, or Apptainer",
    )


def _namespace(stage: str, error: int) -> Probe:
    name = "user namespaces"
    if stage in ("fuse", "mount", ""):
        if _read("kernel/apparmor_restrict_unprivileged_userns") == "1":
            return Probe(
                name,
                "run",
                "limited",
                "work for this Python, but AppArmor restricts them",
                "ask for a profile that allows 'userns' to launchers, or for the sysctl "
                "kernel.apparmor_restrict_unprivileged_userns=0",
            )
        return Probe(name, "run", "ok", "can be made" if os.geteuid() else "not needed by root")
    why = os.strerror(error)
    for switch, closed in _SWITCHES.items():
        if _read(switch) == closed:
            key = switch.replace("/", ".")
            remedy = f"{_ALLOW} (sysctl {key} is {closed})"
            if "apparmor" in key:
                remedy = f"ask for an AppArmor profile that allows 'userns', or sysctl {key}=0"
            return Probe(name, "run", "no", f"are forbidden by sysctl {key}={closed}", remedy)
    return Probe(name, "run", "no", f"cannot be made ({stage}: {why})", _ALLOW)


def _device() -> Probe:
    name = "/dev/fuse"
    try:
        os.close(os.open(_FUSE, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return Probe(
            name,
            "run",
            "no",
            f"cannot be opened: {error.strerror}",
            "ask the administrator to load the module 'fuse' and to set /dev/fuse to mode 0666",
        )
    return Probe(name, "run", "ok", "can be opened")


def _mount(stage: str, error: int) -> Probe:
    name = "mounts of images"
    if not stage:
        return Probe(name, "run", "ok", "a FUSE mount in a private namespace works")
    if stage == "mount":
        return Probe(
            name,
            "run",
            "no",
            f"a FUSE mount is refused: {os.strerror(error)}",
            "ask the administrator to allow FUSE mounts in user namespaces",
        )
    return Probe(name, "run", "no", "not tried, for what stands above")


def _read(sysctl: str) -> str:
    try:
        return Path("/proc/sys", sysctl).read_text().strip()
    except OSError:
        return ""


def _trial() -> tuple[str, int]:
    """The stage at which the trial failed and its errno; an empty stage if all went well."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            os.write(writer, _in_child().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    stage, _, error = answer.partition(" ")
    return (stage, int(error)) if error else ("trial", 0)


def _in_child() -> str:
    import ctypes

    libc: Any = ctypes.CDLL(None, use_errno=True)

    def call(result: int) -> None:
        if result != 0:
            raise OSError(ctypes.get_errno(), "")

    stage, uid, gid = "unshare", os.geteuid(), os.getegid()
    try:
        # Root needs no user namespace, and may be where it cannot have one.
        if uid or libc.unshare(_CLONE_NEWNS):
            call(libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS))
            stage = "uid_map"
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
            Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        stage = "slave"
        call(libc.mount(None, b"/", None, _MS_REC | _MS_SLAVE, None))
        stage = "fuse"
        device = os.open(_FUSE, os.O_RDWR | os.O_CLOEXEC)
        stage = "mount"
        options = f"fd={device},rootmode=40000,user_id={uid},group_id={gid}".encode()
        target = os.fsencode(tempfile.gettempdir())
        flags = _MS_RDONLY | _MS_NOSUID | _MS_NODEV
        call(libc.mount(b"trial", target, b"fuse.trial", flags, options))
    except OSError as error:
        return f"{stage} {error.errno}"
    return " 0"
