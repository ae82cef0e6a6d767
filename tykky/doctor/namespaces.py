"""Whether this node lets an ordinary user mount an image: each part is really tried.

The trial runs in a child process that makes namespaces, mounts on them, and ends; nothing of
it is seen outside. It takes the steps of the launcher, in the launcher's order.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import tempfile
from pathlib import Path
from typing import Any

from tykky.doctor import Finding

_FUSE = Path("/dev/fuse")
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REC, _MS_SLAVE = 1, 2, 4, 1 << 14, 1 << 19

_ALLOW = "ask the administrator to allow user namespaces on this node"
_APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"
#: What closes user namespaces, and with which value.
_SWITCHES = {
    "user.max_user_namespaces": "0",
    "kernel.unprivileged_userns_clone": "0",
    _APPARMOR: "1",
}


def kernel() -> Finding:
    """Whether the kernel is new enough."""
    release = platform.release()
    found = re.match(r"(\d+)\.(\d+)", release)
    if found and (int(found[1]), int(found[2])) >= (4, 18):
        return "ok", f"Linux {release}"
    remedy = "mounting images without privileges needs Linux 4.18: use a newer node, or Apptainer"
    return "no", f"Linux {release} is older than 4.18", remedy


def namespace(stage: str, error: int) -> Finding:
    """What a trial that failed at ``stage`` says of user namespaces."""
    if stage in ("fuse", "mount", ""):
        if _sysctl(_APPARMOR) == "1":
            remedy = (
                "ask for a profile that allows 'userns' to launchers, or for the sysctl "
                f"{_APPARMOR}=0"
            )
            return "limited", "work for this Python, but AppArmor restricts them", remedy
        return "ok", "can be made" if os.geteuid() else "not needed by root"
    for key, closed in _SWITCHES.items():
        if _sysctl(key) == closed:
            remedy = f"{_ALLOW} (sysctl {key} is {closed})"
            if key == _APPARMOR:
                remedy = f"ask for an AppArmor profile that allows 'userns', or sysctl {key}=0"
            return "no", f"are forbidden by sysctl {key}={closed}", remedy
    return "no", f"cannot be made ({stage}: {os.strerror(error)})", _ALLOW


def device() -> Finding:
    """Whether FUSE can be asked for mounts."""
    try:
        os.close(os.open(_FUSE, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        remedy = "ask the administrator to load the module 'fuse' and to set /dev/fuse to mode 0666"
        return "no", f"cannot be opened: {error.strerror}", remedy
    return "ok", "can be opened"


def mount(stage: str, error: int) -> Finding:
    """What a trial that failed at ``stage`` says of mounts."""
    if not stage:
        return "ok", "a FUSE mount in a private namespace works"
    if stage == "mount":
        remedy = "ask the administrator to allow FUSE mounts in user namespaces"
        return "no", f"a FUSE mount is refused: {os.strerror(error)}", remedy
    return "no", "not tried, for what stands above"


def _sysctl(key: str) -> str:
    try:
        return Path("/proc/sys", key.replace(".", "/")).read_text().strip()
    except OSError:
        return ""


def trial() -> tuple[str, int]:
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
        stage, _, error = stream.read().partition(" ")
    os.waitpid(child, 0)
    return (stage, int(error)) if error else ("trial", 0)


def _in_child() -> str:
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
