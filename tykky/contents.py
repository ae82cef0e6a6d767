"""The packages that an install really has: what a stack's kind found in it when it was finished.

They are kept beside the record in ``packages.json``, one a line, and told by the stack's own
command ``list-packages``.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.console import columns
from tykky.errors import Exit, StepError, StoreError, masked
from tykky.files import parse_json, read_json, read_within

if TYPE_CHECKING:
    from email.message import Message

    from tykky.build.box import RealBox

#: The name of the file, in the folder of a generation.
FILE = "packages.json"
#: The command of every stack that knows its packages.
COMMAND = "list-packages"

#: What projects and their versions are called, at most.
_PROJECT, _VERSION = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", r"[A-Za-z0-9][A-Za-z0-9.!+_-]*"
#: What pip takes away with a project.
_METADATA = ".dist-info/METADATA"
#: How what somebody requires begins.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
#: Where R has the descriptions of packages: its own, those of a site, those of Debian.
_R = tuple(f"lib*/R/{folder}/*/DESCRIPTION" for folder in ("library", "site-library"))

#: A licence longer than this is its whole text, which some write where its name belongs.
_NAME_OF_A_LICENCE = 60


@dataclass(frozen=True, order=True)
class Installed:
    """A package of an install; what is not known of it is empty.

    ``channel`` is the name or address of what it came from: a conda channel, ``pypi``, or the
    release of a distribution (``debian-12``). ``license`` is the text that the package has,
    ``spdx`` the SPDX expression for it. ``type`` is that of its package URL (``pypi``,
    ``conda``, ``deb``, ``rpm``, ``apk``, ``cran``, or ``generic`` for what a recipe names
    itself). ``url`` and ``sha256`` are of the file that it was installed from, ``size`` is that
    of what is installed, in bytes. ``why`` is ``asked`` (by the recipe), ``needed`` (by
    others), ``added`` (by a script or step) or ``base`` (it was in the base image). ``source``
    is name and version of the source package of a distribution. ``requires`` names packages,
    those of the same type first.
    """

    name: str
    version: str
    build: str = ""
    channel: str = ""
    license: str = ""
    type: str = ""
    spdx: str = ""
    url: str = ""
    sha256: str = ""
    size: int = 0
    why: str = ""
    source: str = ""
    requires: tuple[str, ...] = ()


def of_environment(prefix: Path, name_of: Callable[[str], str] = str) -> Iterator[Installed]:
    """The conda packages of an environment, what pip has added to them, and what R has.

    ``name_of`` gives the name of a channel's address. Packages that pip has replaced or removed
    are not there any more, although conda's record is.
    """
    files: set[str] = set()
    there: list[dict[str, Any]] = []
    provided: dict[str, str] = {}  # which conda package a Python project is part of
    for record in records(prefix):
        own = [file for file in _listed(record.get("files")) if isinstance(file, str)]
        files.update(own)
        metadata = [file for file in own if file.endswith(_METADATA)]
        if all((prefix / file).exists() for file in metadata):
            there.append(record)
            folders = (file.removesuffix(_METADATA).rpartition("/")[2] for file in metadata)
            projects = (folder.rpartition("-")[0] for folder in folders)
            provided |= {canonical(project): record["name"] for project in projects}
    names = {record["name"] for record in there}
    for record in there:
        needed = (_NAME.match(str(text)) for text in _listed(record.get("depends")))
        data = record.get("paths_data")
        rows = _listed(data.get("paths") if isinstance(data, dict) else ())
        sizes = [row.get("size_in_bytes") for row in rows if isinstance(row, dict)]
        yield Installed(
            name=record["name"],
            version=record["version"],
            build=record["build"],
            channel=name_of(str(record.get("channel") or "")),
            license=str(record.get("license") or ""),
            type="conda",
            url=masked(str(record.get("url") or "")),
            sha256=str(record.get("sha256") or ""),
            size=sum(size for size in sizes if type(size) is int),
            requires=tuple(dict.fromkeys(name[0] for name in needed if name and name[0] in names)),
        )
    yield from of_python(prefix, files, provided)
    yield from of_r(prefix, files)


def _listed(value: Any) -> list[Any]:
    """What should be a list, and may be anything in what was built."""
    return value if isinstance(value, list) else []


def records(prefix: Path) -> Iterator[dict[str, Any]]:
    """What an environment has written down of each of its conda packages."""
    for path in sorted((prefix / "conda-meta").glob("*.json")):
        try:
            record = parse_json(read_within(prefix, path))
        except ValueError:
            record = None
        told = [*map(record.get, ("name", "version", "build"))] if isinstance(record, dict) else []
        if [*map(type, told)] != [str] * 3 or not all(told[:2]):
            cause = f"{path.name}, which the environment says of a package, cannot be read"
            remedy = "it came with what was installed last: install another version of that"
            raise StepError(cause, remedy=remedy)
        yield record


def of_python(
    prefix: Path, but: Container[str] = (), others: Mapping[str, str] | None = None
) -> Iterator[Installed]:
    """The Python projects below ``prefix``; not those whose metadata is among the files ``but``.

    ``others`` are projects that are there besides, and the names of what they are part of.
    """
    from email.parser import HeaderParser  # which 'tykky find' need not wait for

    found: list[tuple[Installed, list[str]]] = []
    python = ""
    for path in _metadata(prefix):
        if str(path.relative_to(prefix)) in but:
            continue
        head = HeaderParser().parsestr(read_within(prefix, path).decode(errors="replace"))
        name, version = str(head["Name"] or "").strip(), str(head["Version"] or "").strip()
        # Whatever else it is, it is no project that a resolver or a listing could speak of.
        if re.fullmatch(_PROJECT, name) and re.fullmatch(_VERSION, version):
            python = python or path.parents[2].name.removeprefix("python")
            url, sha256 = _direct(prefix, path.with_name("direct_url.json"))
            size = _recorded(prefix, path.with_name("RECORD"))
            told = (name, version, "", "pypi", _license(head), "pypi")
            project = Installed(*told, url=url, sha256=sha256, size=size)
            found.append((project, [str(line) for line in head.get_all("Requires-Dist", [])]))
    names = {**(others or {}), **{canonical(each.name): each.name for each, _ in found}}
    for project, needed in found:
        yield replace(project, requires=tuple(_required(needed, names, python)))


def _metadata(prefix: Path) -> Iterator[Path]:
    """What projects below a prefix say of themselves; each once, whatever links to it."""
    seen = set()
    # Debian's Python has a folder of its own for what pip installs.
    folders = [
        *prefix.glob("lib/python3*/site-packages"),
        *prefix.glob("lib/python3*/dist-packages"),
    ]
    for folder in sorted(folders, key=lambda f: (f.is_symlink() or f.parent.is_symlink(), f)):
        if (real := os.path.realpath(folder)) not in seen:
            seen.add(real)
            found = (folder.glob(name) for name in ("*.dist-info/METADATA", "*.egg-info/PKG-INFO"))
            yield from sorted(path for paths in found for path in paths)


def _required(lines: Sequence[str], names: Mapping[str, str], python: str) -> Iterator[str]:
    """Which of the projects that are there are required, by what the lines of metadata say.

    What only an extra requires is left out: nothing tells which extras were asked for.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    told = set()
    for line in lines:
        name = _NAME.match(line.strip())
        there = names.get(canonical(name[0])) if name else None
        if there is None or there in told:
            continue
        if ";" in line:
            about = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
            try:
                marker = Requirement(line).marker
                if marker is not None and not marker.evaluate(about):
                    continue
            except (InvalidRequirement, ValueError):
                continue
        told.add(there)
        yield there


def _direct(prefix: Path, path: Path) -> tuple[str, str]:
    """What a project was installed from that its requirement named, and the digest of that."""
    if not path.is_file():
        return "", ""
    try:
        said = parse_json(read_within(prefix, path))
        url, vcs = str(said["url"]), said.get("vcs_info") or {}
        digest = (said.get("archive_info") or {}).get("hashes", {}).get("sha256", "")
        if vcs:
            url = f"{vcs['vcs']}+{url}@{vcs.get('commit_id', '')}"
        return masked(url), str(digest)
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", ""


def _recorded(prefix: Path, path: Path) -> int:
    """The bytes of the files that a project says it consists of."""
    if not path.is_file():
        return 0
    lines = read_within(prefix, path).decode(errors="replace").splitlines()
    return sum(number(line.rpartition(",")[2]) for line in lines)


def number(text: str) -> int:
    """A number of bytes as somebody has written it; 0 for any other text."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else 0


def of_r(prefix: Path, but: Container[str] = ()) -> Iterator[Installed]:
    """The R packages below ``prefix``; not those whose description is among the files ``but``."""
    found = []
    for path in sorted(path for pattern in _R for path in prefix.glob(pattern)):
        if str(path.relative_to(prefix)) not in but:
            text = read_within(prefix, path).decode(errors="replace")
            said = {key: " ".join(value.split()) for key, value in paragraph(text).items()}
            if re.fullmatch(_PROJECT, said.get("Package", "")) and said.get("Version"):
                found.append((path.parent, said))
    names = {said["Package"] for _, said in found}
    for folder, said in found:
        needed = ", ".join(said.get(field, "") for field in ("Depends", "Imports", "LinkingTo"))
        needs = [match[0] for word in needed.split(",") if (match := _NAME.match(word.strip()))]
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        came = said.get("Repository", "CRAN" if said.get("Priority") != "base" else "")
        requires = tuple(name for name in dict.fromkeys(needs) if name in names)
        told = (said["Package"], said["Version"], "", came, said.get("License", ""), "cran")
        yield Installed(*told, size=size, requires=requires)


def paragraph(text: str) -> dict[str, str]:
    """The fields of a paragraph as Debian and R write them, continued lines and all."""
    fields: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line[:1] in (" ", "\t") and name:
            fields[name].append(line.strip())
        elif ":" in line:
            name, _, value = line.partition(":")
            fields[name] = [value.strip()]
    return {name: "\n".join(lines) for name, lines in fields.items()}


def own(packages: Iterable[Installed]) -> tuple[Installed, ...]:
    """The packages that the stack brings itself: not those of what it was built in."""
    return tuple(package for package in packages if package.why != "base")


def canonical(name: str) -> str:
    """The spelling that a resolver gives a name, which its own metadata need not have."""
    return name if name.startswith("_") else re.sub(r"[-_.]+", "-", name).lower()


def _license(head: Message) -> str:
    """The licence as a wheel's metadata has it: an expression, a name, or a classifier."""
    for field in ("License-Expression", "License"):
        text = str(head[field] or "").strip()
        if text and text != "UNKNOWN" and "\n" not in text and len(text) <= _NAME_OF_A_LICENCE:
            return text
    named = [
        str(text).rpartition("::")[2].strip()
        for text in head.get_all("Classifier", [])
        if str(text).startswith("License ::")
    ]
    return ", ".join(named)


def render(packages: Sequence[Installed]) -> str:
    """The text of the file: of each package what is known of it."""
    return _rows({k: v for k, v in asdict(package).items() if v} for package in packages)


def _rows(packages: Iterable[Mapping[str, Any]]) -> str:
    rows = ",\n".join(map(json.dumps, packages))
    return f"[\n{rows}\n]\n" if rows else "[]\n"


def _told(package: Installed) -> dict[str, str]:
    """What a stack tells of a package itself."""
    return {name: getattr(package, name) for name in _TOLD}


def of_install(folder: Path) -> tuple[Installed, ...]:
    """The packages of the generation in a folder; none if its kind knows none. ``StoreError``."""
    path = folder / FILE
    try:
        return tuple(map(parsed, read_json(path)))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        remedy = "install the stack again"
        raise StoreError(
            f"{path} cannot be read: {error}", remedy=remedy, code=Exit.DAMAGED
        ) from None


def parsed(row: Mapping[str, Any]) -> Installed:
    """A package from its JSON. Raises ``TypeError`` or ``ValueError``."""
    package = Installed(**{**row, "requires": tuple(row.get("requires", ()))})
    for name, value in vars(package).items():
        each = value if name == "requires" else (value,)
        if {*map(type, each)} - {int if name == "size" else str}:
            raise ValueError(f"'{name}' is {json.dumps(value)[:40]}")
    return package


def put(packages: Sequence[Installed], box: RealBox) -> None:
    """Let the stack tell its packages itself: its command, and what that prints."""
    folder = box.prefix / "share/tykky"
    told = [*map(_told, packages)]
    rows = [("NAME", "VERSION", "BUILD", "CHANNEL", "LICENCE"), *(tuple(t.values()) for t in told)]
    box.write("share/tykky/packages.txt", "\n".join([*columns(rows), ""]))
    box.write("share/tykky/packages.json", _rows(told))
    program = box.write(f"bin/{COMMAND}", _SCRIPT.format(folder=shlex.quote(str(folder))))
    box.real(program).chmod(0o755)


def take_out(box: RealBox) -> None:
    """Take out what :func:`put` has put into contents, before others are made of them."""
    if box.real("share/tykky/packages.json").is_file():
        for name in ("share/tykky/packages.txt", "share/tykky/packages.json", f"bin/{COMMAND}"):
            box.real(name).unlink(missing_ok=True)


#: What a stack tells of its packages itself.
_TOLD = ("name", "version", "build", "channel", "license")

_SCRIPT = """\
#!/bin/sh
# What this stack consists of, as it was when it was built.
case ${{1-}} in
    "") exec cat {folder}/packages.txt ;;
    --json) exec cat {folder}/packages.json ;;
    -h | --help) echo "usage: list-packages [--json]" ;;
    *) echo "list-packages: unknown option '$1'; there is --json" >&2; exit 2 ;;
esac
"""
