"""People with other uids, whom whoever runs the tests may become without being root."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import Tykky, User


@dataclass(frozen=True)
class OtherUser(User):
    """A user with another uid, who owns nothing of what the test has made.

    The uid is one of those that /etc/subuid lends to whoever runs the tests, so to the
    kernel it is a stranger's, and no root is needed to become it. All have the same first group.
    """

    number: int = 61000
    groups: str = ""  # further ones, as numbers with commas

    def run(self, *command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run ``command`` as the other user; options are those of ``User.run``."""
        become = ["unshare", "--user", "--map-auto", "--map-root-user", "--"]
        groups = f"--groups={self.groups}" if self.groups else "--clear-groups"
        drop = ["setpriv", f"--reuid={self.number}", "--regid=61000", groups, "--"]
        return super().run(*([] if is_root() else become), *drop, *command, **options)

    def leave(self) -> None:
        """Remove what they have made at home, which nobody else can."""
        self.run("find", self.home, "-mindepth", "1", "-delete", status=None)


def is_root() -> bool:
    """Whether the tests are run by root, who may become anybody without a namespace."""
    return os.geteuid() == 0


def stranger(tykky: Tykky, place: Path, number: int = 61000, groups: str = "") -> OtherUser:
    """Another user, with an empty home in ``place`` and the same store configured as yours."""
    name = getpass.getuser()
    lent = [line.split(":")[0] for line in Path("/etc/subuid").read_text().splitlines()]
    if name not in lent and not is_root():
        pytest.skip(f"/etc/subuid lends no uids to {name}, so there is nobody else to be")
    home = place / f"other{number}"
    home.mkdir()
    home.chmod(0o777)
    # The launcher as it is compiled; whoever runs the tests is root to them, and trusted.
    compile_it = "from tykky.runtime import native; print(native.program('box').parent)"
    said = tykky.user.run(sys.executable, "-c", compile_it).stdout.strip()
    compiled = Path(said) if "tykky-programs" in said else None
    if compiled is not None:
        programs = home / ".cache/tykky-programs"
        shutil.copytree(compiled, programs / compiled.name)
        (programs / compiled.name).chmod(0o755)
        for folder in (programs, programs.parent):
            folder.chmod(0o777)
    env = {**tykky.user.env, "HOME": str(home), "USER": home.name, "LOGNAME": home.name}
    # What they download or build must not land among the test's own things.
    env |= {"TYKKY_CACHE_DIR": f"{home}/cache", "TYKKY_BUILD_DIR": f"{home}/build"}
    return OtherUser(home, env, number, groups)
