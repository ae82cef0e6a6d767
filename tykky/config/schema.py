"""The keys of the configuration: a field each of :class:`Values` or of one of its sections.

The defaults and what each key means are in ``configs/defaults.yaml``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from tykky import jobs
from tykky.config import parsing

Isolation = Literal["open", "mounts", "closed"]
Runtime = Literal["native", "apptainer", "auto"]
Compression = Literal["zstd", "gzip", "lz4", "xz"]
Format = Literal["lua", "tcl", "both"]
Extensions = Literal["asked", "all", "none"]
Strategy = Literal["first-index", "best-match"]
Answer = Literal["allow", "ask", "deny"]
OnInstall = Literal["ignore", "warn", "refuse"]
Level = Literal["low", "medium", "high", "critical"]
Policy = Literal["ignore", "warn", "require"]


@dataclass(frozen=True)
class Kind:
    """One type of value: its name for people, and how a text becomes a value.

    ``parse`` raises ``ValueError``, which continues a sentence. ``path`` marks values that a
    relative path is completed in, in a table behind the name; ``separator`` marks lists, and splits
    them where they are one text (in the environment and in flags; ``None`` is white space);
    ``is_table`` marks lists of ``name=value`` that a file may write as a section, which then adds
    to what it inherits.
    What is ``raw`` is for a shell, which knows better what ``$`` and ``~`` are.
    """

    name: str
    parse: Callable[[str], Any]
    path: bool = False
    is_list: bool = False
    is_table: bool = False
    separator: str | None = None
    raw: bool = False


def _key(name: str, parse: Callable[[str], Any], **options: Any) -> Any:
    """A field that is a key; what it is for people, and what makes a value of a text."""
    return field(metadata={"kind": Kind(name, parse, **options)})


def _path(empty: object = ...) -> Any:
    """A path; ``empty`` is the value of an empty text, if that may be."""
    if empty is ...:
        return _key("path", parsing.absolute, path=True)
    made = type(empty) if isinstance(empty, str) else Path
    return _key("path or empty", lambda t: made(parsing.absolute(t)) if t else empty, path=True)


def _paths() -> Any:
    return _key("list of paths", parsing.absolute, path=True, is_list=True, separator=":")


def _list(of: str, parse: Callable[[str], Any]) -> Any:
    return _key(f"list of {of}", parse, is_list=True)


def _choice(words: Any) -> Any:
    known = get_args(words)
    pattern = "|".join(known)
    return _key(" | ".join(known), parsing.matching(pattern, f"is not one of {', '.join(known)}"))


def _number(low: int, high: int, zero: Callable[[], int] = int) -> Any:
    """A whole number; ``zero`` tells what 0 stands for."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise parsing.BadValueError(f"is not a whole number from {low} to {high}")
        return int(text) or zero()

    return _key(f"number from {low} to {high}", parse)


@dataclass(frozen=True)
class Squash:
    """How images are made; ``level`` counts for zstd and gzip only."""

    compression: Compression = _choice(Compression)
    level: int = _number(1, 22)
    block_size: str = _key("size from 4K to 1M", parsing.block_size)


@dataclass(frozen=True)
class Layers:
    """When only what changes is squashed, as a layer on the images that there are.

    There are ``most`` layers on an image of ``above`` megabytes or more.
    """

    most: int = _number(0, 16)
    above: int = _number(0, 1000000)


@dataclass(frozen=True)
class Permissions:
    """Group and modes of installed files; an empty string leaves that to the umask."""

    group: str = _key("text", parsing.line)
    dir_mode: str = _key("octal mode or empty", parsing.mode)
    file_mode: str = _key("octal mode or empty", parsing.mode)
    setgid: bool = _key("true | false", parsing.switch)
    module_group: str = _key("text", parsing.line)
    restricted: tuple[tuple[str, str], ...] = _key(
        "names of installs with their groups", parsing.restriction, is_list=True, is_table=True
    )


@dataclass(frozen=True)
class Keep:
    """What 'tykky gc' leaves."""

    days: int = _number(0, 36500)
    generations: int = _number(0, 10000)


@dataclass(frozen=True)
class Module:
    """How modulefiles are written, and what is run once they have changed."""

    format: Format = _choice(Format)
    extensions: Extensions = _choice(Extensions)
    extensions_max: int = _number(0, 10000)
    after_change: str = _key("command line", parsing.line, raw=True)
    templates: Path | None = _path(empty=None)
    family: str = _key("text", parsing.line)


@dataclass(frozen=True)
class Python:
    """What stacks with a Python let in."""

    user_site: bool = _key("true | false", parsing.switch)


@dataclass(frozen=True)
class Pip:
    """Where Python packages come from and what they may need of the machine."""

    index_url: str = _key("address", parsing.url)
    extra_index_urls: tuple[str, ...] = _list("addresses", parsing.url)
    strategy: Strategy = _choice(Strategy)
    glibc: str = _key("version of glibc", parsing.glibc)
    quarantine: str = _key("age such as 14d, or empty", parsing.age)


@dataclass(frozen=True)
class Conda:
    """Where conda packages come from, and what the machines that stacks run on have."""

    channels: tuple[str, ...] = _list("channels", parsing.needed)
    channel_alias: str = _key("address", parsing.url)
    aliases: tuple[str, ...] = _list("NAME=ADDRESS", parsing.channel_alias)
    strict_priority: bool = _key("true | false", parsing.switch)
    blocked: tuple[str, ...] = _list("channels", parsing.needed)
    blocked_message: str = _key("text", parsing.line)
    virtual_packages: tuple[str, ...] = _list("virtual packages", parsing.virtual_package)
    quarantine: str = _key("age such as 14d, or empty", parsing.age)


@dataclass(frozen=True)
class R:
    """Where R packages come from: addresses in which a recipe's choices are put."""

    cran: str = _key("address", parsing.url, raw=True)
    bioconductor: str = _key("address", parsing.url, raw=True)


@dataclass(frozen=True)
class Advisories:
    """Where known holes are told of, which of them do not matter, and what they keep from."""

    osv: Path | None = _path(empty=None)
    statements: Path | None = _path(empty=None)
    on_install: OnInstall = _choice(OnInstall)
    fail_on: Level = _choice(Level)
    conda_names: tuple[tuple[str, str], ...] = _key(
        "conda packages with their names on PyPI", parsing.conda_name, is_list=True, is_table=True
    )


@dataclass(frozen=True)
class Signing:
    """What signs installs, and whose signatures count."""

    key: Path | None = _path(empty=None)
    allowed_signers: Path | None = _path(empty=None)
    policy: Policy = _choice(Policy)


def _resource(name: str) -> Any:
    def parse(text: str) -> str:
        if text and (problem := jobs.problem(name, text)):
            raise parsing.BadValueError(problem)
        return text

    return _key(f"{jobs.RESOURCES[name][1].partition(' such')[0]}, or empty", parse)


@dataclass(frozen=True)
class Slurm:
    """What the jobs get that build stacks; see :mod:`tykky.jobs`."""

    partition: str = _resource("partition")
    account: str = _resource("account")
    qos: str = _resource("qos")
    time: str = _resource("time")
    memory: str = _resource("memory")
    cpus: str = _resource("cpus")
    gpus: str = _resource("gpus")
    constraint: str = _resource("constraint")
    architectures: tuple[tuple[str, str], ...] = _key(
        "architectures with features of nodes", parsing.feature, is_list=True, is_table=True
    )
    scratch: str = _key("path on the nodes, or empty", parsing.line, raw=True)


def _licences() -> Any:
    return _key("list of SPDX identifiers or globs", parsing.licence, is_list=True, separator=",")


@dataclass(frozen=True)
class Licences:
    """Under which licences packages may be installed; see :mod:`tykky.inventory.policy`."""

    allow: tuple[str, ...] = _licences()
    ask: tuple[str, ...] = _licences()
    deny: tuple[str, ...] = _licences()
    unknown: Answer = _choice(Answer)
    exceptions: tuple[tuple[str, str], ...] = _key(
        "packages with reasons", parsing.excepted, is_list=True, is_table=True, separator=";"
    )
    bases: bool = _key("true | false", parsing.switch)


@dataclass(frozen=True)
class Catalog:
    """The catalogue that is kept of a root; see :mod:`tykky.publish.catalog`."""

    output: Path | None = _path(empty=None)
    title: str = _key("text", parsing.needed)
    url: str = _key("address or empty", parsing.web)
    contact: str = _key("text", parsing.line)
    roots: tuple[Path, ...] = _paths()
    hidden: bool = _key("true | false", parsing.switch)


@dataclass(frozen=True, kw_only=True)
class Values:
    """All values, checked and expanded. Paths are absolute; ``jobs`` is at least 1.

    ``bases`` are aliases, of which the last with a name counts. ``roots`` are in the order in which
    they are searched, each name once. ``repos`` are directories, also of what git fetches, and end
    with the recipes that come with Tykky unless ``builtin_repo`` is false. ``server`` is empty
    where the launcher shall look for one itself.
    """

    root: Path = _path()
    roots: tuple[tuple[str, Path], ...] = _key(
        "names with their paths",
        parsing.named_path,
        path=True,
        is_list=True,
        is_table=True,
        separator=":",
    )
    module_path: Path = _path()
    build_dir: Path = _path()
    cache_dir: Path = _path()
    base: str = _key("name of a base", parsing.needed)
    bases: tuple[tuple[str, str], ...] = _key(
        "names with their references", parsing.alias, is_list=True, is_table=True
    )
    bases_dir: Path = _path()
    builds_dir: Path = _path()
    mirrors: tuple[str, ...] = _list("addresses", parsing.url)
    registry_mirrors: tuple[tuple[str, str], ...] = _list(
        "REGISTRY=MIRROR", parsing.registry_mirror
    )
    registries: tuple[str, ...] = _list("HOST/PATH", parsing.registry_path)
    timeout: int = _number(1, 86400)
    repos: tuple[Path, ...] = _key(
        "list of paths and repositories of git",
        parsing.repository,
        path=True,
        is_list=True,
        separator=":",
    )
    builtin_repo: bool = _key("true | false", parsing.switch)
    runtime: Runtime = _choice(Runtime)
    isolation: Isolation = _choice(Isolation)
    mount_points: tuple[Path, ...] = _paths()
    classic_hides: tuple[Path, ...] = _paths()
    jobs: int = _number(0, 65536, zero=lambda: len(os.sched_getaffinity(0)))
    reads: tuple[Path, ...] = _paths()
    hooks: Path | None = _path(empty=None)
    idle: int = _number(1, 86400)
    server: str = _path(empty="")
    squash: Squash
    layers: Layers
    permissions: Permissions
    keep: Keep
    module: Module
    python: Python
    pip: Pip
    conda: Conda
    r: R
    advisories: Advisories
    signing: Signing
    licences: Licences
    slurm: Slurm
    catalog: Catalog


GROUPS: dict[str, Any] = {
    group.__name__.lower(): group
    for group in (
        *(Squash, Layers, Permissions, Keep, Module, Python, Pip, Conda, R),
        *(Advisories, Signing, Licences, Slurm, Catalog),
    )
}
#: All keys, in the order of the file with the defaults; and their names by section.
KEYS: dict[str, Kind] = {}
SECTIONS: dict[str, tuple[str, ...]] = {}
for _section, _group in {"": Values, **GROUPS}.items():
    _kinds = {each.name: each.metadata["kind"] for each in fields(_group) if each.metadata}
    SECTIONS[_section] = tuple(_kinds)
    KEYS |= {f"{_section}.{name}".lstrip("."): kind for name, kind in _kinds.items()}
