"""The packages that an install really has: what a stack's kind found in it when it was finished.

They are kept beside the record in ``packages.json``, one a line, and told by the stack's own
command ``list-packages``.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.console import columns
from tykky.errors import Exit, StepError, StoreError
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

#: A licence longer than this is its whole text, which some write where its name belongs.
_NAME_OF_A_LICENCE = 60


@dataclass(frozen=True, order=True)
class Installed:
    """A package of an install; what is not known of it is empty.

    ``channel`` is the name or address of what it came from: a conda channel, ``pypi``, or the
    release of a distribution (``debian-12``). ``license`` is the text that the package has,
    ``spdx`` the SPDX expression for it. ``type`` is that of its package URL (``pypi``, ``conda``,
    ``deb``, ``rpm``, ``cran``). ``url`` and ``sha256`` are of the file that it was installed from,
    ``size`` is that of what is installed, in bytes. ``why`` is ``asked`` (by the recipe),
    ``needed`` (by others), ``added`` (by a script or step) or ``base`` (it was in the base image).
    ``source`` is name and version of the source package of a distribution. ``requires`` names
    packages, those of the same type first.
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


def of_environment(prefix: Path, name_of: Callable[[str], str]) -> Iterator[Installed]:
    """The conda packages of an environment, then what pip has added to them.

    ``name_of`` gives the name of a channel's address. Packages that pip has replaced or removed
    are not there any more, although conda's record is.
    """
    files: set[str] = set()
    for record in records(prefix):
        files.update(own := record.get("files", ()))
        if all((prefix / file).exists() for file in own if file.endswith(_METADATA)):
            yield Installed(
                name=record["name"],
                version=record["version"],
                build=record["build"],
                channel=name_of(str(record.get("channel") or "")),
                license=record.get("license") or "",
            )
    yield from of_python(prefix, files)


def records(prefix: Path) -> Iterator[dict[str, Any]]:
    """What an environment has written down of each of its conda packages."""
    for path in sorted((prefix / "conda-meta").glob("*.json")):
        try:
            record = parse_json(read_within(prefix, path))
        except ValueError:
            record = None
        if not (isinstance(record, dict) and {"name", "version", "build"} <= record.keys()):
            cause = f"{path.name}, which the environment says of a package, cannot be read"
            remedy = "it came with what was installed last: install another version of that"
            raise StepError(cause, remedy=remedy)
        yield record


def of_python(prefix: Path, but: Container[str] = ()) -> Iterator[Installed]:
    """The Python projects below ``prefix``; not those whose metadata is among the files ``but``."""
    from email.parser import HeaderParser  # which 'tykky find' need not wait for

    here = "lib/python3*/site-packages"
    found = [f"{here}/*.dist-info/METADATA", f"{here}/*.egg-info/PKG-INFO"]
    for path in sorted(path for pattern in found for path in prefix.glob(pattern)):
        if str(path.relative_to(prefix)) in but:
            continue
        head = HeaderParser().parsestr(read_within(prefix, path).decode(errors="replace"))
        name, version = str(head["Name"] or "").strip(), str(head["Version"] or "").strip()
        # Whatever else it is, it is no project that a resolver or a listing could speak of.
        if re.fullmatch(_PROJECT, name) and re.fullmatch(_VERSION, version):
            yield Installed(name, version, "", "pypi", _license(head))


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
        return tuple(map(_parsed, read_json(path)))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        remedy = "install the stack again"
        raise StoreError(
            f"{path} cannot be read: {error}", remedy=remedy, code=Exit.DAMAGED
        ) from None


def _parsed(row: Mapping[str, Any]) -> Installed:
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
