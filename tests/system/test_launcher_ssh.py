"""ssh inside a stack: it takes the system's configuration files, which there belong to nobody."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from tests.launcher.stacks import Stack, install, link_commands, make_stack, squash
from tykky.runtime.base import Bind, Command, ImageMount, LaunchPlan, Root, image_path

pytestmark = pytest.mark.skipif(
    not shutil.which("ssh") or not Path("/etc/ssh/ssh_config.d").is_dir(),
    reason="the client of OpenSSH is not installed: apt-get install openssh-client",
)

#: As Red Hat's systems have it: what is included includes another file, in another folder.
FILES = {
    "50-site.conf": 'Host *\n  Port 2222\n  INCLUDE = "{policy}"\n',
    "60-more.conf": "Host *.example\n  User wrong\n",
}


def write(folder: Path, policy: Path) -> None:
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text.format(policy=policy))


@pytest.fixture
def on_host(place: Path) -> Iterator[Stack]:
    """A second image with files of root is mounted over the folder of the host."""
    prefix = place / "stack"
    policy = {"share/policy.conf": "CompressionLevel 7\nUser policy\n"}
    stack = make_stack(prefix, files=policy)
    write(tree := place / "tree", prefix / "share/policy.conf")
    size = squash(tree, image_path(prefix, "ssh.sqfs"))
    more = ImageMount("ssh.sqfs", size, "/etc/ssh/ssh_config.d")
    yield stack.change(mounts=(*stack.plan.mounts, more))
    assert stack.is_gone()


@pytest.fixture
def in_root(place: Path) -> Iterator[Stack]:
    """The files are those of an image that is entered as a root."""
    prefix, system, image = place / "rooted", place / "system", place / "root.sqfs"
    write(system / "etc/ssh/ssh_config.d", Path("/etc/crypto/ssh.conf"))
    (system / "etc/crypto").mkdir()
    (system / "etc/crypto/ssh.conf").write_text("User policy\n")
    (system / "etc/ssh/ssh_config").write_text("Include /etc/ssh/ssh_config.d/*.conf\n")
    binds = ("/usr", "/bin", "/lib", "/lib64", "/etc/passwd")
    link_commands(prefix, ["ssh"])
    stack = install(
        LaunchPlan(
            name="rooted/1",
            prefix=prefix,
            mounts=(Root(image, 0, squash(system, image)), *(Bind(b, b, True) for b in binds)),
            commands=(Command("ssh", PurePosixPath("/usr/bin/ssh")),),
            idle=1,
        )
    )
    yield stack
    assert stack.is_gone()


def settings(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def test_files_of_root_that_the_configuration_includes_are_taken(
    on_host: Stack, in_root: Stack
) -> None:
    within = settings(on_host.run("sh", "-c", "ssh -G localhost"))
    rooted = settings(in_root.run("ssh", "-G", "localhost"))
    for found in (within, rooted):
        assert found["port"] == "2222"
        assert found["user"] == "policy"


def test_the_files_themselves_stay_what_they_are(on_host: Stack) -> None:
    done = on_host.run("sh", "-c", "cd /etc/ssh/ssh_config.d && ls && cat 60-more.conf")
    assert done.stdout == "".join(f"{name}\n" for name in FILES) + FILES["60-more.conf"]
    assert "tykky" not in on_host.run("sh", "-c", "ls -la /etc/ssh").stdout
