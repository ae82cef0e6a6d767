"""The four programs: their command lines, as a table in which each argument sets a key."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tykky.cli import answering
from tykky.compat.settings import SCRIPTS, Values


@dataclass(frozen=True)
class Asked:
    """What a command line asks for.

    ``verb`` is ``new``, ``update``, ``advanced``, or empty if none was given; ``values`` have the
    keys of the configuration, ``prefix`` is the installation to update, ``file`` one with settings.
    """

    verb: str
    values: Values
    prefix: str = ""
    file: str = ""


_SCRIPT = "commands of bash that are run"
#: The arguments: how each is written, which key it sets, what it is for. One in capitals takes the
#: place of a value; an option without sets its key to yes, or to no after an exclamation mark.
_ARGUMENTS = {
    "env": ("ENV_FILE", "env_file", "environment.yml, or a list of packages"),
    "req": ("REQUIREMENTS_FILE", "requirements_file", "requirements file for pip"),
    "container": ("CONTAINER", "container_src", "a file, a directory, docker://debian:12, ..."),
    "source": ("DIR", "wrap_src", "the installation"),
    "old": ("DIR", "dir", "the installation"),
    "file": ("YAML", "yaml", "the file with its settings"),
    "yaml": ("-y --yaml FILE", "yaml", "a YAML file with further settings"),
    "prefix": ("--prefix DIR", "installation_prefix", "where to install (default: here)"),
    "mamba": ("--mamba", "mamba", "accepted: every solve is as fast"),
    "mamba-uv": ("--uv", "use_uv", "accepted: pip's packages are uv's anyway"),
    "uv": ("--uv", "use_uv", "use a Python that uv brings"),
    "slim": ("--slim", "slim", "use a minimal container with Python"),
    "pyver": ("--pyver VERSION", "pyver", "version of Python, with --uv or --slim"),
    "site": ("--system-site-packages", "enable_site_packages", "with the packages of its Python"),
    "mask": ("--mask", "mask_wrap_install", "let it appear at its own path, over what is there"),
    "nocache": ("--nocache", "!pipcache", "use no cache of pip or uv"),
    "-r": ("-r --requirement FILE", "requirements_file", "requirements file for pip"),
    "-rf": ("-r --requirements-file FILE", "requirements_file", "requirements file for pip"),
    "post": ("--post-install FILE", "post_install", f"{_SCRIPT} after everything is installed"),
    "pre": ("--pre-install FILE", "pre_install", f"{_SCRIPT} before anything is installed"),
    "environ": ("--environ FILE", "extra_envs", f"{_SCRIPT} before each command of what is made"),
    "-w": ("-w --wrapper-paths LIST", "wrapper_paths", "programs to offer, or directories, by ','"),
}

#: What each program is for, and takes; most by its verbs. Of what has a bar between, one is given.
PROGRAMS = {
    "conda-containerize": (
        "A conda environment made from an environment file.",
        {
            "new": "env prefix mamba mamba-uv nocache -r post pre environ -w",
            "update": "old nocache -r post pre environ -w",
            "advanced": "file",
        },
    ),
    "pip-containerize": (
        "A Python environment made from a requirements file.",
        {
            "new": "req prefix uv|slim pyver site nocache post pre environ -w",
            "update": "old -rf nocache post pre environ -w",
            "advanced": "file",
        },
    ),
    "wrap-container": (
        "Programs of an existing container as ordinary commands.",
        {"": "container yaml environ -w prefix"},
    ),
    "wrap-install": (
        "An installation on disk as one image, with ordinary commands.",
        {"": "source yaml mask post pre environ -w prefix"},
    ),
}
_VERBS = {
    "new": "make a new installation",
    "update": "change an installation",
    "advanced": "make a new installation from a YAML file",
}


def _main(program: str) -> int:
    def work() -> int:
        asked = _parse(program, sys.argv[1:])
        from tykky.compat.call import run  # what only asks for help needs none of that

        return run(program, asked)

    return answering(work)


#: What is started under each of their names; gives the exit code.
conda_containerize = partial(_main, "conda-containerize")
pip_containerize = partial(_main, "pip-containerize")
wrap_container = partial(_main, "wrap-container")
wrap_install = partial(_main, "wrap-install")


def parser_of(program: str) -> argparse.ArgumentParser:
    """The parser of one of the ``PROGRAMS``."""
    description, verbs = PROGRAMS[program]
    parser = argparse.ArgumentParser(prog=program, description=description)
    if "" in verbs:
        _add(parser, verbs[""])
    else:
        kinds = parser.add_subparsers(dest="verb", metavar="COMMAND", title="commands")
        for verb, names in verbs.items():
            _add(kinds.add_parser(verb, help=_VERBS[verb]), names)
    return parser


def _parse(program: str, words: Sequence[str]) -> Asked:
    """What the words after a program's name ask for. Raises ``SystemExit`` as argparse does."""
    parser = parser_of(program)
    # Without arguments, these programs have always explained themselves.
    found = vars(parser.parse_args([*words] or ["--help"]))
    verb = found.pop("verb", "new") or ""
    prefix, file = found.pop("dir", ""), found.pop("yaml", "")
    return Asked(verb, {key: _meant(key, given) for key, given in found.items()}, prefix, file)


def _add(parser: argparse.ArgumentParser, names: str) -> None:
    for alternatives in names.split():
        group = parser.add_mutually_exclusive_group() if "|" in alternatives else parser
        for name in alternatives.split("|"):
            form, key, help = _ARGUMENTS[name]
            options = [word for word in form.split() if word.startswith("-")]
            how: dict[str, Any] = {"help": help}
            if options:  # one that is not given sets nothing
                how |= {"dest": key.lstrip("!"), "default": argparse.SUPPRESS}
            if form.split()[-1] in options:
                how |= {"action": "store_const", "const": not key.startswith("!")}
            else:
                how["metavar"] = form.split()[-1]
            group.add_argument(*(options or [key]), **how)


def _meant(key: str, given: Any) -> Any:
    """What the configuration has for an argument that is given."""
    if key in SCRIPTS:
        return [{"file": given}]
    return [path for path in given.split(",") if path] if key == "wrapper_paths" else given
