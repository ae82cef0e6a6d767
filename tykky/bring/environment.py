"""Files of conda: ``environment.yml``, what ``conda env export`` and ``conda list`` write."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tykky.bring import exact
from tykky.bring.exact import ARCHS, Exact, Leaving
from tykky.bring.found import Found
from tykky.bring.python import name_of as name_of_project
from tykky.conda.channels import name_of
from tykky.conda.environment import Environment, names_of, read
from tykky.config import Config
from tykky.errors import RecipeError, TykkyError, Where, masked
from tykky.text import decoded, read_bytes, read_text

#: Finds the place of a word.
Lines = Callable[[str], Where]
#: How architectures are called in a comment behind what is only for one.
_SELECTORS = {"x86_64": "x86_64", "aarch64": "aarch64"}
#: How conda-lock and micromamba have packages of pip in an explicit list.
_OF_PIP = re.compile(
    r"# pip (\S+?)(?: ?== ?(\S+)| @ (\S+?))(?:#sha256[=:]([0-9a-f]{64}))?"
    r"(?: --hash=sha256:([0-9a-f]{64}))?"
)
_WITH_SECRET = "it has a password or token in it, and a recipe is for everybody"
#: What YAML takes for text without quotes.
_PLAIN = re.compile(r"(?!(?:null|true|false|yes|no|on|off)$)[A-Za-z_][A-Za-z0-9_.=/<>+-]*", re.I)


# -- recognising ------------------------------------------------------------------------------


def text_of(path: Path) -> str:
    """The text of a file; nothing for what is none, or cannot be read."""
    try:
        return decoded(read_bytes(path), path, RecipeError, any_bytes=True)
    except (OSError, TykkyError):
        return ""


def is_environment(path: Path) -> bool:
    """Whether a file is an ``environment.yml``."""
    named = path.suffix in (".yml", ".yaml")
    return named and re.search(r"^dependencies\s*:", text_of(path), re.MULTILINE) is not None


def is_list(path: Path) -> bool:
    """Whether a file is what ``conda list`` writes with ``--explicit`` or ``--export``."""
    text = text_of(path)
    if re.search(r"^@EXPLICIT\s*$", text, re.MULTILINE):
        return True
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return bool(lines) and all(re.fullmatch(r"[\w.-]+=[^=\s]+=[^=\s]+\s*", line) for line in lines)


# -- environment.yml --------------------------------------------------------------------------


def read_environment(source: Path, config: Config) -> Found:
    """The recipe for an environment file. Raises ``RecipeError``."""
    path = Path(os.path.realpath(source))
    wanted, left = {}, []
    for arch in ARCHS.values():
        leave = Leaving(path.name)
        wanted[arch] = read(path, arch, (path.parent,), leave=partial(_leave, leave))
        left.append(leave)
    # What is for one of them is not left out.
    first, second = left
    first.found = [each for each in first.found if each in second.found]
    text = read_text(path, "environment file", RecipeError)

    def line(word: str) -> Where:
        lines = enumerate(text.splitlines(), 1)
        return Where(path, next((number for number, line in lines if word in line), 0))

    return of_environments(wanted, first, config, line=line)


def _leave(leave: Leaving, what: str, why: str, where: Where) -> None:
    """Note what the reader leaves out; of what is for pip, with why in short."""
    is_included = what.startswith(("-r", "--requirement"))
    if not is_included and (what.startswith(("-", ".", "/")) or "git+" in what):
        why = next(iter(exact.pip_line(what, leave, where)), "") and why
    else:
        leave(what, why, where)


def of_environments(
    wanted: Mapping[str, Environment],
    leave: Leaving,
    config: Config,
    *,
    line: Lines = lambda _: Where(Path()),
    about: str = "",
    version: str = "",
    more: Mapping[str, object] | None = None,
) -> Found:
    """The recipe for what is asked for on each architecture. Raises ``RecipeError``.

    ``line`` finds the line of a word, ``more`` are further fields.
    """
    wanted = {arch: _settled(each, leave, config, line) for arch, each in wanted.items()}
    any_of_them = next(iter(wanted.values()))
    if not any(each.specs or each.pip for each in wanted.values()):
        raise RecipeError(f"{leave.file} names no packages", remedy="name at least one: python")
    names = next((each.names for each in wanted.values() if each.names), ())
    about = about or (f"The environment '{names[0]}'." if names else f"What {leave.file} names.")
    env = exact.variables(any_of_them.variables, leave, line("variables").line)
    if not any_of_them.channels:
        leave("channels", "none are named: those that are configured count, or conda-forge")
    packages = sorted(names_of(any_of_them.specs))
    fields = exact.about_packages(packages, any_of_them.channels)
    fields["channels"] = any_of_them.channels
    files = {}
    sizes = [len(each.specs) + len(each.pip) for each in wanted.values()]
    if len({(each.specs, each.pip) for each in wanted.values()}) == 1 and sizes[0] <= exact.MANY:
        fields |= {"packages": any_of_them.specs, "pip": any_of_them.pip}
    else:
        fields["environment"] = "environment.yml"
        files["environment.yml"] = _file(wanted, leave.file).encode()
    names_of_all = [*packages, *map(name_of_project, any_of_them.pip)]
    fields |= {**exact.gpu_of(names_of_all), **(more or {}), "env": env}
    has_python = all("python" in names_of(each.specs) for each in wanted.values())
    shared = [one for one in any_of_them.pip if all(one in w.pip for w in wanted.values())]
    return Found(
        "CondaStack",
        {name: value for name, value in fields.items() if value},
        files,
        tuple(leave.found),
        version,
        about,
        exact.tests(has_python, shared),
    )


def _settled(wanted: Environment, leave: Leaving, config: Config, line: Lines) -> Environment:
    """The same without what is secret, and what is for nobody else."""
    channels = []
    for name in wanted.channels:
        at = line(name).line
        if name.startswith(("./", "../", "~")):
            leave(name, "it is a path that only counts where the file is: name the whole path", at)
            continue
        plain = name_of(exact.open_channel(name, leave, at), config)
        if masked(plain) != plain:
            leave(plain, _WITH_SECRET, at)
            continue
        exact.note_channels([plain], leave, at)
        channels += [plain] if plain != "nodefaults" else []
    specs = []
    for spec in wanted.specs:
        channel, separator, rest = spec.rpartition("::")
        if separator:
            channel = name_of(exact.open_channel(channel, leave, line(spec).line), config)
            exact.note_channels([channel], leave, line(spec).line)
        whole = f"{channel}{separator}{rest}"
        if masked(whole) != whole:
            leave(whole, _WITH_SECRET, line(spec))
            continue
        specs.append(whole)
    pip = [one for text in wanted.pip for one in exact.pip_line(text, leave, line(text))]
    pip = [*dict.fromkeys(pip)]
    specs = specs or ["python"][: len(pip)]  # conda has it, too, where pip is to do something
    return replace(wanted, channels=tuple(channels), specs=tuple(specs), pip=tuple(pip))


def _file(wanted: Mapping[str, Environment], source: str) -> str:
    """An environment file: what is only for one architecture says so behind it."""
    lines = [exact.comment(f"The packages of {source}."), "dependencies:"]
    lines += _items({arch: each.specs for arch, each in wanted.items()}, "  - ")
    if any(each.pip for each in wanted.values()):
        lines.append("  - pip:")
        lines += _items({arch: each.pip for arch, each in wanted.items()}, "      - ")
    return "\n".join([*lines, ""])


def _items(wanted: Mapping[str, Sequence[str]], start: str) -> Iterator[str]:
    for text in dict.fromkeys(text for texts in wanted.values() for text in texts):
        archs = [arch for arch, texts in wanted.items() if text in texts]
        shown = text if _PLAIN.fullmatch(text) else json.dumps(text)
        chosen = " or ".join(_SELECTORS[arch] for arch in archs)
        yield f"{start}{shown}" + ("" if len(archs) == len(wanted) else f"  # [{chosen}]")


# -- lists ------------------------------------------------------------------------------------


def read_list(source: Path, config: Config) -> Found:
    """The recipe for an explicit list, or for one of names, versions and builds."""
    path = Path(os.path.realpath(source))
    leave = Leaving(path.name)
    wanted = read(path, "x86_64", (path.parent,))
    lines = read_text(path, "list", RecipeError, any_bytes=True).splitlines()
    if not wanted.pinned:
        return _of_names(wanted, leave, config, lines)
    pip: list[str] = []
    for number, text in enumerate(lines, 1):
        if found := _OF_PIP.fullmatch(text.strip()):
            name, version, url, *digests = found.groups(default="")
            pip += exact.requirement(name, version, url, "".join(digests), leave, number)
    each = exact.by_platform(wanted.pinned, leave)
    by_arch = {arch: Exact(conda, tuple(pip)) for arch, conda in each.items()}
    return exact.found(by_arch, leave, config, about=f"The packages of {path.name}.")


def _of_names(wanted: Environment, leave: Leaving, config: Config, lines: Sequence[str]) -> Found:
    specs, pip = [], []
    for spec in wanted.specs:
        name, version, build = spec.split("=")
        if build.startswith("pypi_"):
            pip.append(f"{name}=={version}")
        else:
            specs.append(spec)
    wanted = replace(wanted, specs=tuple(specs), pip=tuple(pip))

    def line(word: str) -> Where:
        numbers = (number for number, text in enumerate(lines, 1) if text.strip() == word)
        return Where(Path(leave.file), next(numbers, 0))

    both = dict.fromkeys(ARCHS.values(), wanted)
    return of_environments(both, leave, config, line=line, about=f"The packages of {leave.file}.")
