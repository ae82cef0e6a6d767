"""The people of the system tests, and how they run the installed program.

The program under test is the real one, in a process of its own, with an environment as a
fresh login has it: nothing of the developer's own settings, caches or modules reaches it,
and nothing it writes stays. Only downloads are shared, between tests and between runs.
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# A store's path is in the first line of every script in it, which the kernel limits to 127
# bytes in places, so pytest's own tmp_path with the test's name in it is too long.
PLACES = Path("/tmp") / f"tykky-pytest-of-{getpass.getuser()}"

#: Downloads, kept between runs: TYKKY_TEST_CACHE, or beside the user's other caches.
DOWNLOADS = Path(
    os.environ.get("TYKKY_TEST_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tykky-tests"
)

# How this machine reaches the network is no setting of the developer's.
NETWORK_VARIABLES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)


@dataclass(frozen=True)
class User:
    """Somebody who has just logged in: an empty home, a plain environment, bash."""

    home: Path
    env: dict[str, str]

    def run(
        self,
        *command: str | Path,
        status: int | None = 0,
        env: dict[str, str] | None = None,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run ``command``; fail the test unless it ends with ``status`` (None: any)."""
        options.setdefault("cwd", self.home)
        options.setdefault("timeout", 600)
        done = subprocess.run(
            [str(word) for word in command],
            env={**self.env, **(env or {})},
            text=True,
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            **options,
        )
        if status is not None and done.returncode != status:
            shown = " ".join(str(word) for word in command)[:2000]
            pytest.fail(
                f"{shown}\nended with {done.returncode}, not {status}\n"
                f"--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}",
                pytrace=False,
            )
        return done

    def bash(self, script: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a bash script that stops at the first command that fails."""
        return self.run("bash", "--noprofile", "--norc", "-ec", script, **options)


#: How often a verb was stopped, or its disk spoilt, at one of its operations; told at the end.
SPOILT = {"kills": 0, "errors of disks": 0}


@dataclass(frozen=True)
class Tykky:
    """The installed program ``tykky``, run by a user who has a store of their own."""

    user: User

    @property
    def root(self) -> Path:
        """The root of the user's store."""
        return Path(self.user.env["TYKKY_ROOT"])

    def __call__(self, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run ``tykky ARGUMENTS``; options as for :meth:`User.run`."""
        return self.user.run("tykky", *arguments, **options)

    def json(self, *arguments: str | Path, **options: Any) -> Any:
        """The result in what ``tykky ARGUMENTS --json`` answers."""
        return self.envelope(*arguments, **options)["result"]

    def envelope(self, *arguments: str | Path, **options: Any) -> dict[str, Any]:
        """The whole answer of ``tykky ARGUMENTS --json``, decoded."""
        answer = json.loads(self(*arguments, "--json", **options).stdout)
        assert isinstance(answer, dict)
        return answer

    def start(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        """Start ``tykky ARGUMENTS`` in a process group of its own and do not wait for it."""
        return subprocess.Popen(
            ["tykky", *map(str, arguments)],
            executable=shutil.which("tykky", path=self.user.env["PATH"]),
            env={**self.user.env, **(options.pop("env", None) or {})},
            cwd=options.pop("cwd", self.user.home),
            text=True,
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            start_new_session=True,
            **options,
        )


def log_in(place: Path) -> User:
    """A user with an empty home in ``place``, whose PATH has ``tykky`` and the system's commands.

    ``tykky`` is the one installed in the environment that runs this.
    """
    home = place / "home"
    commands = place / "bin"
    home.mkdir()
    commands.mkdir()
    # A link of its own: what else is in this environment is not the user's.
    (commands / "tykky").symlink_to(Path(sys.executable).parent / "tykky")
    name = getpass.getuser()
    env = {
        "HOME": str(home),
        "USER": name,
        "LOGNAME": name,
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "PATH": f"{commands}:/usr/local/bin:/usr/bin:/bin",
        "TYKKY_ROOT": str(place / "t"),
        "TYKKY_BUILD_DIR": str(place / "build"),
        "TYKKY_CACHE_DIR": str(DOWNLOADS),
        # What is not current is to go in one call; that one of them stays is a test of its own.
        "TYKKY_KEEP_GENERATIONS": "0",
    }
    env.update((key, os.environ[key]) for key in NETWORK_VARIABLES if key in os.environ)
    return User(home, env)


def new_place() -> Path:
    """A new empty directory on local disk with a short path, open to others to read."""
    PLACES.mkdir(mode=0o755, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix="", dir=PLACES))
    path.chmod(0o755)
    return path


def remove(tree: Path) -> None:
    """Remove a tree, also where its directories were made read-only."""
    for folder, folders, _ in os.walk(tree):
        for name in folders:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(tree, ignore_errors=True)
