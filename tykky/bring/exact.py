"""Environments whose packages are known file by file, as recipes that have exactly these."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from tykky.bring import python
from tykky.bring.found import Found, Left
from tykky.conda.channels import DEFAULTS, name_of, public
from tykky.conda.environment import Pinned
from tykky.config import Config
from tykky.errors import RecipeError, Where, has_secret, masked
from tykky.fetch import is_sha256
from tykky.kinds.pip import check_requirement

#: The architectures that recipes are locked for, by the name that conda has for each.
ARCHS = {"linux-64": "x86_64", "linux-aarch64": "aarch64"}
#: More packages than a recipe names itself; they stay in a file then.
MANY = 30
#: Channels whose packages have pages of their own.
_DOCUMENTED = ("conda-forge", "bioconda")
#: Packages of conda or pip that are there only where CUDA is to be used.
_OF_CUDA = re.compile(
    r"cudatoolkit|cuda-(version|cudart|runtime|toolkit)|pytorch-cuda|nvidia-cuda-runtime-cu\d+"
)
NO_LINUX = "stacks are for Linux on x86_64 and aarch64"
#: The public index, and how its files are known.
_PYPI = "https://pypi.org/"
_OF_PUBLIC_INDEX = re.compile(
    r"(\S+) @ https://files\.pythonhosted\.org/[^\s#]*?([^/\s#]+)(?:#sha256=([0-9a-f]{64}))?"
)
_SECRET = re.compile(
    r"passw(or)?d|passphrase|secret|token|credential|keys?$|(^|_|PG)(pw|pwd|pass|pat)(_|$)", re.I
)
#: What a project is called, and its version: anything else would be another line of a file.
_NAME, _VERSION = r"[A-Za-z0-9][A-Za-z0-9._-]*", r"[A-Za-z0-9][A-Za-z0-9.!+_-]*"
_OF_INDEXES = re.compile(r"-i\b|--(extra-)?index-url|--find-links|-f\b|--trusted-host|--no-index")
#: What only its address says: a directory, a file of this machine, a commit.
_UNRELEASED = re.compile(r"^(-e\b|--editable|\S+\s*@\s*file:|[./]|file:)|\b(git|hg|svn|bzr)\+")
_ON_DISK = "it is a folder of this machine: others may not have it, and builds see all that it has"
_NO_RELEASE = "it is no released package: make a wheel of it, and name that"
_DEFAULTS = (
    "it stays what it is, Anaconda's own, repo.anaconda.com, which larger organisations have to "
    "pay for: write 'conda-forge' in its place if that will do"
)


@dataclass
class Leaving:
    """What is left out of one file; each is told once."""

    file: str
    found: list[Left] = field(default_factory=list)

    def __call__(self, what: str, why: str, where: Where | int = 0) -> None:
        """Note something with its place, or its line in the file."""
        line, file = where if isinstance(where, int) else where.line, self.file
        if isinstance(where, Where):
            file = where.path.name
        left = Left(masked(" ".join(what.split())), masked(why), file, line)
        if left not in self.found:
            self.found.append(left)


@dataclass(frozen=True)
class Exact:
    """What an environment on one architecture has: files of conda, and requirements for pip."""

    conda: tuple[Pinned, ...] = ()
    pip: tuple[str, ...] = ()


def found(
    wanted: Mapping[str, Exact],
    leave: Leaving,
    config: Config,
    *,
    about: str,
    version: str = "",
    note: str = "",
    more: Mapping[str, object] | None = None,
    modules: Sequence[str] = (),
) -> Found:
    """The recipe for what is ``wanted`` by architecture.

    ``note`` is a remark in the list of files, ``more`` are further fields; the test imports the
    ``modules``, if they are known. Raises ``RecipeError`` if there is nothing.
    """
    wanted = {arch: _open(exact, leave) for arch, exact in wanted.items() if exact.conda}
    if not wanted:
        raise RecipeError(
            f"{leave.file} has no conda packages for Linux",
            remedy=f"lock it for {' or '.join(ARCHS)} as well, and try again",
        )
    names = dict.fromkeys(wanted, "explicit.txt")
    if len(wanted) > 1:
        names = {arch: f"explicit-{arch}.txt" for arch in wanted}
    urls = [one.url for exact in wanted.values() for one in exact.conda]
    channels = _channels(urls, config)
    note_channels(channels, leave)
    pip = _by_arch({a: [_released(p, config) for p in e.pip] for a, e in wanted.items()})
    files = {names[a]: _list(exact, a, leave.file, note).encode() for a, exact in wanted.items()}
    names_of_all = [*map(name_in, urls), *map(python.name_of, pip)]
    fields = {
        "channels": channels,
        "environment": names if len(wanted) > 1 else names[next(iter(wanted))],
        **pip_fields(pip, files),
        **gpu_of(names_of_all),
        **(more or {}),
    }
    has_python = any(name_in(url) == "python" for url in urls)
    return Found(
        "CondaStack",
        about_packages([name_in(url) for url in urls], channels) | fields,
        files,
        tuple(leave.found),
        version,
        about,
        tests(has_python, pip, modules),
    )


def _open(exact: Exact, leave: Leaving) -> Exact:
    """The same without passwords in addresses, which are told."""
    conda = tuple(replace(one, url=open_channel(one.url, leave)) for one in exact.conda)
    return Exact(conda, tuple(dict.fromkeys(exact.pip)))


def open_channel(address: str, leave: Leaving, line: int = 0) -> str:
    """An address without what is secret in it: a channel's, or of what is in one."""
    plain = public(address)
    if plain != address:
        channel = plain.rsplit("/", 2)[0] if plain.endswith((".conda", ".tar.bz2")) else plain
        leave(
            f"the password or token for {channel}",
            "a recipe is for everybody; whoever locks or installs it has it in their configuration:"
            " tykky config set conda.aliases NAME=ADDRESS",
            line,
        )
    return plain


def note_channels(names: Iterable[str], leave: Leaving, line: int = 0) -> None:
    """Say of a channel that is not for everybody what it is."""
    for name in names:
        if name.startswith(("file:", "/")):
            leave(f"the channel {name}", _ON_DISK, line)
        elif name == "defaults" or "repo.anaconda.com" in name:
            leave(f"the channel '{name}'", _DEFAULTS, line)


def _channels(urls: Sequence[str], config: Config) -> tuple[str, ...]:
    """The channels that packages are from, that of most packages first."""
    found = Counter(url.rsplit("/", 2)[0] for url in urls)
    names = ("defaults" if url in DEFAULTS else name_of(url, config) for url, _ in by_count(found))
    return tuple(dict.fromkeys(names))


def by_count(found: Counter[str]) -> list[tuple[str, int]]:
    """What was counted, the most frequent first, and in the order of names then."""
    return sorted(found.items(), key=lambda each: (-each[1], each[0]))


def pip_fields(pip: Sequence[str], files: dict[str, bytes]) -> dict[str, object]:
    """The field for requirements; many, or those with digests, are put into a file."""
    if len(pip) > MANY or any("sha256" in line for line in pip):
        files["requirements.txt"] = "".join(f"{line}\n" for line in pip).encode()
        return {"requirements": "requirements.txt"}
    return {"pip": tuple(pip)} if pip else {}


def _by_arch(wanted: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Requirements of all architectures; with a marker for those that not all have.

    The files of the same release, told by ``--hash``, may be others on each.
    """
    archs: dict[str, list[str]] = {}
    digests: dict[str, list[str]] = {}
    for arch, lines in wanted.items():
        for line in lines:
            text, *hashes = line.split(" --hash=")
            archs.setdefault(text, []).append(arch)
            digests.setdefault(text, []).extend(hashes)

    def whole(text: str) -> str:
        hashes = "".join(f" --hash={digest}" for digest in dict.fromkeys(digests[text]))
        if len(archs[text]) == len(wanted):
            return text + hashes
        marker = " or ".join(f"platform_machine == '{arch}'" for arch in archs[text])
        plain, mark, condition = text.partition(" ; ")
        return f"{plain} ; {f'({condition}) and ({marker})' if mark else marker}{hashes}"

    return tuple(whole(text) for text in sorted(archs, key=str.lower))


def _list(exact: Exact, arch: str, source: str, note: str) -> str:
    """An explicit list as conda writes it."""
    platform = next(name for name, known in ARCHS.items() if known == arch)
    lines = [
        comment(f"The packages of {source}, file by file."),
        *([comment(note)] if note else []),
    ]
    lines += [f"# platform: {platform}", "@EXPLICIT"]
    for one in exact.conda:
        digest = one.sha256 or one.md5
        lines.append(f"{one.url}#{digest}" if digest else one.url)
    return "\n".join([*lines, ""])


def comment(text: str) -> str:
    """A line for people in a file, whatever the text has in it."""
    line = " ".join(masked(text).split())
    return "# " + "".join(c for c in line if c.isprintable())


def name_in(url: str) -> str:
    """The name of the package that is at an address."""
    return PurePosixPath(unquote(urlsplit(url).path)).name.rsplit("-", 2)[0]


def subdir_in(url: str) -> str:
    """The folder of its channel that a package at an address is in."""
    return urlsplit(url).path.rsplit("/", 2)[-2] if url.count("/") > 1 else ""


def by_platform(pinned: Iterable[Pinned], leave: Leaving) -> dict[str, tuple[Pinned, ...]]:
    """Packages by architecture, those for any with each. What is for no Linux is left out."""
    found: dict[str, list[Pinned]] = {}
    both = []
    for one in pinned:
        subdir = subdir_in(one.url)
        if subdir == "noarch":
            both.append(one)
        elif subdir in ARCHS:
            found.setdefault(ARCHS[subdir], []).append(one)
        else:
            leave(f"packages for {subdir}", NO_LINUX)
    if not found and both:
        found[next(iter(ARCHS.values()))] = []
    return {arch: (*own, *both) for arch, own in found.items()}


# -- requirements for pip ---------------------------------------------------------------------


def requirement(
    name: str, version: str, url: str, sha256: str, leave: Leaving, line: int = 0
) -> Iterator[str]:
    """The requirement for a package of a lock: by its file, or else by its version.

    Nothing for what is no file on the network, which is told.
    """
    if not (re.fullmatch(_NAME, name) and re.fullmatch(_VERSION, version or (url and "0"))):
        leave(f"{name} {version}", "that is no name and version of a project", line)
        return
    if _UNRELEASED.search(url) or not re.match(r"(https?://|$)", url):
        leave(
            f"{name} @ {url}", "it is no released package: make a wheel of it, and name that", line
        )
        return
    if url.endswith((".tar.gz", ".zip")):
        why = "there was no wheel of it: if there still is none, name it in 'source'"
        leave(f"{name} {version} as source", why, line)
    digest = f"#sha256={sha256}" if is_sha256(sha256) else ""
    hashed = f" --hash=sha256:{sha256}" if digest else ""
    yield from pip_line(
        f"{name} @ {url.partition('#')[0]}{digest}" if url else f"{name}=={version}{hashed}",
        leave,
        line,
    )


def _released(line: str, config: Config) -> str:
    """A requirement by its version if it is a file of the public index that any index has.

    That is one for every machine, which its digest tells, too. Of others there may be several of
    one version; so they stay files, unless the site has an index of its own.
    """
    found = _OF_PUBLIC_INDEX.fullmatch(line)
    if found is None:
        return line
    name, file, sha256 = found.groups(default="")
    pure = file.endswith("-none-any.whl")
    version = version_in(file)
    if not version or (file.endswith(".whl") and not pure and _PYPI in config.pip.index_url):
        return line
    return f"{name}=={version}" + (f" --hash=sha256:{sha256}" if pure and sha256 else "")


def version_in(file: str) -> str:
    """The version that the name of a wheel or of a source archive says; empty if it says none."""
    parts = unquote(file).split("-")
    if file.endswith(".whl"):
        return parts[1] if len(parts) > 4 else ""
    stem = re.sub(r"\.(tar\.gz|zip)$", "", unquote(file))
    return stem.rpartition("-")[2] if stem != unquote(file) else ""


def pip_line(text: str, leave: Leaving, line: Where | int = 0) -> Iterator[str]:
    """A requirement as recipes have it; nothing if none can say it, which is told."""
    if _OF_INDEXES.match(text):
        why = "set indexes in the configuration: 'pip.index_url', 'pip.extra_index_urls'"
        leave(text, why, line)
    elif masked(text) != text:
        leave(text, "it has a password or token in it, and a recipe is for everybody", line)
    elif re.search(r"[\0-\x1f\x7f]|\s--(?!hash=sha256:[0-9a-fA-F]{64}(\s|$))", text):
        why = "only the requirement itself and its digests are carried over: write it by hand"
        leave(text, why, line)
    elif _UNRELEASED.search(text):
        leave(text, _NO_RELEASE, line)
    else:
        try:
            check_requirement(text, Where(Path(leave.file)))
        except RecipeError as error:
            leave(text, error.cause, line)
        else:
            yield text


# -- fields of any recipe ---------------------------------------------------------------------


def variables(given: Mapping[str, str], leave: Leaving, at: int = 0) -> dict[str, str]:
    """The variables that a recipe may set; the others are told without what they hold."""
    from tykky.recipe.fields import WrongValue, convert

    kept: dict[str, str] = {}
    for name, value in given.items():
        try:
            kept |= convert("env", {name: value}, Mapping[str, str])
        except WrongValue as error:
            leave(f"the variable {name}", error.cause, at)
            continue
        if _SECRET.search(name) or has_secret(f"{value}\n{value.replace(';', chr(10))}", ".ini"):
            kept.pop(name)
            why = "its value looks like a secret, and a recipe is for everybody"
            leave(f"the variable {name}", why, at)
    return kept


def about_packages(names: Sequence[str], channels: Sequence[str]) -> dict[str, object]:
    """The fields that say where packages are documented, and under which licences they are."""
    known = next((each for each in channels if each in _DOCUMENTED), "")
    homepage = f"https://anaconda.org/{known}" if known else "https://docs.conda.io"
    homepage += f"/{names[0]}" if known and len(names) == 1 else ""
    return {"homepage": homepage, "license": python.LICENCES}


def gpu_of(names: Iterable[str]) -> dict[str, object]:
    """The field for graphics processors, if one of the packages is of NVIDIA's CUDA."""
    return {"gpu": "nvidia"} if any(map(_OF_CUDA.fullmatch, names)) else {}


def tests(has_python: bool, pip: Iterable[str], modules: Sequence[str] = ()) -> tuple[str, ...]:
    """Commands that fail if the stack is broken, as far as one can tell without knowing it."""
    if modules:
        return python.tests((), modules)
    if not has_python and not pip:
        return ("list-packages",)
    found = ["python -c 'import sys; assert sys.prefix in sys.executable'"]
    if names := [*filter(None, (python.name_of(line) for line in pip if ";" not in line))]:
        found += python.tests(names[:MANY])
    return tuple(found)
