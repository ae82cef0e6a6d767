"""Small real stacks for the tests of the launcher: an image, a launch.conf, hard-linked commands.

Made by hand and in a fraction of a second, so that a test can have one of its own, damage it,
or give it a launch.conf that ``tykky install`` would never write.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tykky.build.commands import name_host
from tykky.files import Permissions
from tykky.runtime import native
from tykky.runtime.base import (
    CONF_DIRECTORY,
    CURRENT,
    GENERATIONS,
    LAUNCHER_NAME,
    PINS,
    Bind,
    ImageMount,
    LaunchPlan,
    Mount,
    Need,
    Root,
    Runtime,
    conf_path,
    image_path,
    render,
)

SHOW = """#!{prefix}/bin/python
import json, os, sys
print(json.dumps(dict(
    argv=sys.argv, executable=sys.executable, prefix=sys.prefix, cwd=os.getcwd(),
    pid=os.getpid(), user_ns=os.readlink("/proc/self/ns/user"),
    mount_ns=os.readlink("/proc/self/ns/mnt"), environ=dict(os.environ))))
"""


def program(name: str) -> Path:
    """The program under test: TYKKY_TEST_PROGRAMS may name a directory with sanitized ones."""
    given = os.environ.get("TYKKY_TEST_PROGRAMS")
    return Path(given) / name if given else native.program(name)


@dataclass(frozen=True)
class Stack:
    """One generation of an install: its plan, and how to run its commands."""

    plan: LaunchPlan

    @property
    def prefix(self) -> Path:
        return self.plan.prefix

    @property
    def image(self) -> Path:
        return image_path(self.prefix, self.plan.images[0].file)

    @property
    def image_size(self) -> int:
        return self.plan.images[0].size

    @property
    def conf(self) -> Path:
        """By the name under which a command that is not pinned reads it."""
        return conf_path(self.prefix)

    @property
    def need(self) -> Need:
        images = ",".join(image.file for image in self.plan.images)
        return Need(self.prefix, self.plan.generation, images)

    def pinned(self, generation: str = "") -> dict[str, str]:
        """An environment that is pinned to it, or to another generation of the same place."""
        return {**os.environ, PINS: f"{self.prefix}={generation or self.plan.generation}"}

    def command(self, name: str) -> str:
        return str(self.prefix / "bin" / name)

    def run(self, name: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command of the stack and give back how it ended."""
        options.setdefault("capture_output", True)
        options.setdefault("timeout", 60)
        return subprocess.run([self.command(name), *arguments], text=True, **options)

    def write(self, text: str) -> None:
        """Replace launch.conf, as a refresh does: by rename."""
        conf = conf_path(self.prefix, self.plan.generation)
        conf.parent.mkdir(parents=True, exist_ok=True)
        new = conf.with_suffix(".new")
        new.write_text(text)
        new.replace(conf)

    def switch(self) -> None:
        """Make it the current generation, as an update does: by rename."""
        current = self.prefix / CONF_DIRECTORY / CURRENT
        new = current.with_suffix(".new")
        new.symlink_to(Path(GENERATIONS, self.plan.generation))
        new.replace(current)

    def change(self, **fields: Any) -> Stack:
        """Write the launch.conf of a plan with other ``fields`` or ``parts`` of its mounts."""
        plan = self.plan
        parts = {name: fields.pop(name) for name in PARTS if name in fields}
        if parts:
            fields["mounts"] = mounts(plan.prefix, **{**parts_of(plan), **parts})
        changed = Stack(replace(plan, **fields))
        changed.write(render(changed.plan))
        return changed

    def update(self, generation: str, **fields: Any) -> Stack:
        """The same with another number: another generation, which is not the current one yet."""
        return self.change(generation=generation, **fields)

    def processes(self, name: str = "") -> list[int]:
        """The pids of what the launcher keeps running for this stack: servers and keepers."""
        return [
            pid
            for pid, line in command_lines()
            if str(self.prefix) in line and line.startswith(OURS) and line.startswith(name)
        ]

    def is_gone(self, seconds: float = 20) -> bool:
        """Whether nothing of it is left, or will be after some time."""
        return wait_for(lambda: not self.processes(), seconds)


PARTS = ("root", "needs", "image", "image_size", "mount_at", "layers", "binds")


def mounts(
    prefix: Path,
    *,
    image: str = "",
    image_size: int = 0,
    mount_at: Path | None = None,
    root: Root | None = None,
    needs: Iterable[Need] = (),
    layers: Iterable[ImageMount] = (),
    binds: Iterable[Bind] = (),
) -> tuple[Mount, ...]:
    """What an install mounts, in the usual order."""
    images = [ImageMount(image, image_size, str(mount_at or prefix))] if image else []
    return (*([root] if root else []), *needs, *images, *layers, *binds)


def parts_of(plan: LaunchPlan) -> dict[str, Any]:
    """The arguments of ``mounts`` that make those of a plan."""
    parts: dict[str, Any] = {
        "root": plan.root,
        "needs": [mount for mount in plan.mounts if isinstance(mount, Need)],
        "layers": [image for image in plan.images if image.layer],
        "binds": [mount for mount in plan.mounts if isinstance(mount, Bind)],
    }
    for image in (image for image in plan.images if not image.layer):
        parts.update(image=image.file, image_size=image.size, mount_at=Path(image.target))
    return parts


# Root in a container without all capabilities cannot use Apptainer otherwise.
APPTAINER_OPTIONS = ("--userns",) if os.getuid() == 0 else ()
OURS = ("squashfuse_ll ", "tykky-relay ", "tykky-keeper ")


def command_lines() -> list[tuple[int, str]]:
    """Pid and command line of every process that can be seen; a zombie has none."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                raw = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if raw:
                line = raw.replace(b"\0", b" ").decode(errors="replace")
                found.append((int(entry.name), line))
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether the condition came true in that time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def make_tree(
    tree: Path, prefix: Path, files: dict[str, str] | None = None, packages: Iterable[str] = ()
) -> None:
    """What the image holds: a virtual environment and some programs."""
    pip = [] if packages else ["--without-pip"]
    subprocess.run(["/usr/bin/python3", "-m", "venv", *pip, tree], check=True)
    if packages:
        subprocess.run([tree / "bin/pip", "--quiet", "install", *packages], check=True)
    for program in ("sleep", "cat", "true", "env", "sh"):
        found = shutil.which(program, path="/usr/bin:/bin")
        assert found
        shutil.copy(found, tree / "bin" / program)
    scripts = {"bin/show": SHOW, "bin/plain": 'echo "no shebang: $*"\n'}
    for name, text in {**scripts, **(files or {})}.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{prefix}", str(prefix)))
        if name.startswith("bin/"):
            path.chmod(0o755)


def squash(tree: Path, image: Path) -> int:
    """Make the image; its size in bytes."""
    subprocess.run(
        ["mksquashfs", tree, image, "-comp", "zstd", "-all-root", "-quiet", "-no-progress"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return image.stat().st_size


def link_commands(prefix: Path, names: Iterable[str]) -> None:
    """Install the launcher, and hard-link it under every name."""
    launcher = prefix / CONF_DIRECTORY / LAUNCHER_NAME
    launcher.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(program("launch"), launcher)
    launcher.chmod(0o755)
    (prefix / "bin").mkdir(exist_ok=True)
    for name in names:
        (prefix / "bin" / name).hardlink_to(launcher)


def of_host(prefix: Path) -> dict[str, Any]:
    """The fields of a plan with which Apptainer enters the host itself."""
    container = prefix / CONF_DIRECTORY / "host"
    name_host(container, Permissions())
    return {"container": container, "host_roots": True, "options": APPTAINER_OPTIONS}


def make_stack(
    prefix: Path,
    *,
    files: dict[str, str] | None = None,
    packages: Iterable[str] = (),
    commands: Iterable[str] = (),
    **fields: Any,
) -> Stack:
    """An install at ``prefix``; ``files`` are added to the image, ``commands`` to its names.

    With Apptainer as ``runtime`` it is entered as an install on the host is.
    """
    tree = prefix / "tree"
    make_tree(tree, prefix, files, packages)
    image = image_path(prefix, "img-1.sqfs")
    image.parent.mkdir(parents=True)
    size = squash(tree, image)
    names = {path.name for path in (tree / "bin").iterdir()} | set(commands)
    shutil.rmtree(tree)
    link_commands(prefix, sorted(names))
    if fields.get("runtime", Runtime.NATIVE) is not Runtime.NATIVE:
        fields = {**of_host(prefix), **fields}
    parts = {name: fields.pop(name) for name in PARTS if name in fields}
    parts = {"image": image.name, "image_size": size, **parts}
    fields = {"name": f"{prefix.name}/1", "idle": 1, "idle_step": 1, **fields}
    plan = LaunchPlan(prefix=prefix, mounts=mounts(prefix, **parts), **fields)
    return install(plan)


def install(plan: LaunchPlan) -> Stack:
    """Write the launch.conf of a plan, as the current generation."""
    stack = Stack(plan)
    stack.write(render(plan))
    stack.switch()
    return stack


@contextmanager
def running(stack: Stack, code: str = "", **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A Python of the stack that has started, reads lines and executes them."""
    loop = f"import sys\n{code}\nprint('ready', flush=True)\nfor line in sys.stdin: exec(line)"
    program = subprocess.Popen(
        [stack.command("python"), "-uc", loop],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    try:
        assert program.stdout
        assert program.stdout.readline() == "ready\n"
        yield program
    finally:
        # It ends when it has read all; killed, Apptainer would leave its image server behind.
        try:
            program.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            program.kill()
            program.communicate()


def tell(program: subprocess.Popen[str], line: str) -> str:
    """Have a running program execute a line, and give back the line that it prints."""
    assert program.stdin
    assert program.stdout
    program.stdin.write(line + "\n")
    program.stdin.flush()
    return program.stdout.readline().strip()


def start_many(stacks: list[Stack], count: int) -> list[dict[str, Any]]:
    """Start ``show`` of all the stacks that often at once; what each shows."""
    programs = [
        subprocess.Popen([stack.command("show")], stdout=subprocess.PIPE, text=True)
        for stack in stacks * count
    ]
    return [json.loads(program.communicate()[0]) for program in programs]
