"""An update under what runs, and under shells that have loaded a module: each keeps what it has."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import IO

import pytest

from tests.stacks import LMOD, TINY, Site

# Each line that it reads names a module, of which it tells the number: of the module itself, of
# the one that a child finds that is started by name, and of one started by sys.executable.
PROGRAM = """
import importlib, subprocess, sys
print("started", flush=True)
for name in map(str.strip, sys.stdin):
    code = f"import {name}; print({name}.number)"
    children = [["mark"], ["python", "-c", code], [sys.executable, "-c", code]]
    said = [subprocess.check_output(child, text=True).strip() for child in children]
    print(importlib.import_module(name).number, *said, flush=True)
"""

MARKED = """
def finish(self, box):
    for name in "abcd":
        box.run(f"cd lib/python3*/site-packages; echo 'number = {number}' > mark_{{name}}.py")
    box.run(["chmod", "+x", box.write("bin/mark", "#!/bin/sh\\necho {number}\\n")])
"""


def marked(site: Site, number: int) -> None:
    """Write a recipe of a stack whose programs and modules know a number."""
    text = TINY.replace('commands = "python*"', 'commands = "mark", "python*"')
    site.write("tiny", text + indent(MARKED.format(number=number), "    "))


def greeting(site: Site, word: str) -> None:
    """Write a recipe of a stack whose one command says a word."""
    site.hello(more=f"def finish(self, box):\n    box.run('sed -i s/hello/{word}/ bin/hello')")


@dataclass
class Talk:
    """A program that answers lines with lines."""

    into: IO[str]
    out: IO[str]

    def ask(self, line: str) -> str:
        self.into.write(f"{line}\n")
        self.into.flush()
        return self.out.readline().strip()


@contextmanager
def talking(site: Site, *command: str | Path) -> Iterator[Talk]:
    """Start a program as a fresh login does, and end it afterwards without a complaint."""
    with subprocess.Popen(
        [str(word) for word in command],
        env={**site.user.env, "PATH": f"{site.root}/store/tiny/1.0/bin:{site.user.env['PATH']}"},
        cwd=site.user.home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Talk(process.stdin, process.stdout)
        _, complaint = process.communicate(timeout=60)
        assert (process.returncode, complaint) == (0, "")


@contextmanager
def shell(site: Site) -> Iterator[Talk]:
    """A shell that has loaded the module ``hello``; each line to it must answer with one line."""
    with talking(site, "bash", "--noprofile", "--norc") as talk:
        talk.into.write(f'. {LMOD}; module use "{site.modules}"; module load hello\n')
        yield talk


def said(site: Site, command: str = "hello") -> str:
    """What a command says in a new shell that loads the module."""
    return site.lmod(f"module load {command.replace('mark', 'tiny')}; {command}").stdout.strip()


def test_a_running_program_is_of_its_generation_to_its_end_whatever_becomes_the_current_one(
    site: Site,
) -> None:
    marked(site, 1)
    site("install", "tiny")
    with talking(site, site.prefix("tiny") / "bin/python", "-c", PROGRAM) as program:
        assert program.out.readline() == "started\n"
        assert program.ask("mark_a") == "1 1 1 1"
        marked(site, 2)
        site("install", "tiny")
        assert said(site, "mark") == "2"
        assert program.ask("mark_b") == "1 1 1 1"
        site("rollback", "tiny")
        assert said(site, "mark") == "1"
        assert program.ask("mark_c") == "1 1 1 1"
        site("install", "--force", "tiny")
        assert said(site, "mark") == "2"
        site("uninstall", "tiny#1")
        assert program.ask("mark_d") == "1 1 1 1"


def test_what_is_on_top_of_a_stack_survives_an_update_of_it(site: Site) -> None:
    marked(site, 1)
    site("install", "tiny")
    prefix = site.prefix("tiny")
    site.lmod(
        f"""
        module load tiny
        python -m venv --system-site-packages ~/venv
        ~/venv/bin/python -c 'import mark_a; print(mark_a.number)'
        pip install --user --quiet cowsay==6.1
        echo '#!{prefix}/bin/python' > ~/script
        echo 'import mark_a; print(mark_a.number)' >> ~/script
        chmod +x ~/script
        """
    )
    marked(site, 2)
    site("install", "tiny")
    script = "~/venv/bin/python -c 'import mark_a as m, sys; print(m.number, sys.prefix)'; ~/script"
    answers = site.user.bash(f"{script}; ~/.local/bin/cowsay -t moo").stdout
    assert answers.startswith(f"2 {site.user.home}/venv\n2\n")
    assert "moo" in answers


def test_a_shell_keeps_what_it_has_loaded_until_it_loads_again(site: Site) -> None:
    greeting(site, "first")
    site("install", "hello")
    with shell(site) as old:
        assert old.ask("hello") == "first 1.0"
        greeting(site, "second")
        site("install", "hello")
        assert said(site) == "second 1.0"
        assert old.ask("hello") == "first 1.0"
        assert old.ask("bash -c hello") == "first 1.0"
        # As a batch job does, which starts elsewhere with the environment of who submits it.
        assert old.ask("(cd / && setsid -w bash -c 'exec hello')") == "first 1.0"
        assert old.ask("module load hello; hello") == "second 1.0"
        assert old.ask('module unload hello; echo "[$TYKKY_PINS]"') == "[]"


def test_two_loaded_stacks_are_pinned_each_for_itself(site: Site) -> None:
    greeting(site, "first")
    site.hello("other")
    site("install", "hello", "other")
    with shell(site) as old:
        pins = old.ask('module load other; echo "$TYKKY_PINS"')
        places = [f"{site.root}/store/{name}/1.0=1" for name in ("hello", "other")]
        assert sorted(pins.split(":")) == places
        assert old.ask('module unload hello; echo "$TYKKY_PINS"') == places[1]
        assert old.ask('module purge; echo "[$TYKKY_PINS]"') == "[]"


@pytest.mark.usefixtures("runtime")
def test_a_generation_that_has_vanished_is_replaced_by_the_current_one_with_one_line(
    site: Site,
) -> None:
    greeting(site, "first")
    site("install", "hello")
    with shell(site) as old:
        assert old.ask("hello") == "first 1.0"
        greeting(site, "second")
        site("install", "hello")
        site("uninstall", "hello#1")
        assert old.ask("hello 2>complaint") == "second 1.0"
        (line,) = (site.user.home / "complaint").read_text().splitlines()
        assert "hello/1.0" in line
        assert old.ask("module load hello; hello") == "second 1.0"


def test_a_pinned_generation_that_was_rolled_back_goes_on(site: Site) -> None:
    greeting(site, "first")
    site("install", "hello")
    greeting(site, "second")
    site("install", "hello")
    with shell(site) as new:
        assert new.ask("hello") == "second 1.0"
        site("rollback", "hello")
        assert said(site) == "first 1.0"
        assert new.ask("hello") == "second 1.0"
