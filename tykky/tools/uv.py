"""Everything Tykky asks of uv: resolving requirements, and installing what came of it."""

from __future__ import annotations

import contextlib
import netrc
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from tykky.config.parsing import cutoff
from tykky.console import plural
from tykky.errors import LockError, StepError, ToolError, explained
from tykky.files import discard, read_within
from tykky.lock import Package, canonical
from tykky.tools import wheels
from tykky.tools.complaints import explain

if TYPE_CHECKING:
    from tykky.build.box import Box, RealBox
    from tykky.config import Config


#: What a requirement names on this machine.
_LOCAL = re.compile(r"file://\S+")
#: How uv says what it would need to build a package.
_TO_BUILD = re.compile("No solution found when resolving: (`.*`)")
#: Where files of the index are in a box.
_WHEELS = Path("/tmp/wheels")


def program() -> str:
    """The uv to use: the one installed with Tykky, else the one on PATH."""
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if not found:
        raise ToolError("uv is not installed", remedy="install it beside Tykky: 'pip install uv'")
    return found


def environment(config: Config) -> dict[str, str]:
    """The variables that make uv do the same for everybody: no user configuration."""
    variables = {
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        # The certificates of this machine, as pip takes them: sites add their own to those.
        "UV_SYSTEM_CERTS": "1",
        "UV_NATIVE_TLS": "1",
        "UV_LINK_MODE": "copy",
        "UV_CACHE_DIR": str(config.cache_dir / "uv"),
        "UV_CONCURRENT_INSTALLS": str(config.jobs),
        **asking(indexes(config)),
    }
    if config.pip.strategy == "best-match":
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    variables |= quarantine(config)
    return {name: value for name, value in variables.items() if value}


def quarantine(config: Config) -> dict[str, str]:
    """The variables that let uv and pip choose nothing more recent than is configured."""
    if (end := cutoff(config.pip.quarantine)) is None:
        return {}
    when = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"UV_EXCLUDE_NEWER": when, "PIP_UPLOADED_PRIOR_TO": when}


def indexes(config: Config) -> tuple[str, ...]:
    """The package indexes in the order in which they are asked: the site's own, then further ones.

    The first that has a package decides, whatever versions others have of it, so that nobody can
    put something of the same name in its place. Only with ``pip.strategy`` ``best-match`` is it
    the best version of all. Passwords are those of the addresses, or of the user's ``.netrc``.
    """
    found = (config.pip.index_url, *config.pip.extra_index_urls)
    return tuple(dict.fromkeys(map(_with_login, found)))


def _with_login(address: str) -> str:
    """The address with what the user's ``.netrc`` has for just this server, as uv would use it."""
    parts = urlsplit(address)
    file = Path(os.environ.get("NETRC") or Path(os.environ.get("HOME", "/"), ".netrc"))
    if parts.username is None and parts.hostname and file.is_file():
        with contextlib.suppress(OSError, UnicodeDecodeError, netrc.NetrcParseError):
            if known := netrc.netrc(file).hosts.get(parts.hostname):
                login = ":".join(quote(word or "", safe="") for word in (known[0], known[2]))
                return address.replace("://", f"://{login}@", 1)
    return address


def asking(addresses: Sequence[str]) -> dict[str, str]:
    """The variables that make uv ask indexes in this order: the default one is its last."""
    return {"UV_INDEX": " ".join(addresses[:-1]), "UV_DEFAULT_INDEX": addresses[-1]}


def offline(config: Config) -> dict[str, str]:
    """The variables for uv in a box: no index, and a cache that nobody else has.

    What is chosen already is of any age.
    """
    usual, drop = environment(config), quarantine(config)
    own = {name: v for name, v in usual.items() if "INDEX" not in name and name not in drop}
    return {**own, "UV_CACHE_DIR": "/tmp/uv"}


def platform(config: Config, arch: str) -> str:
    """The name uv has for the machines a stack will run on, e.g. ``x86_64-manylinux_2_28``."""
    return f"{arch}-manylinux_{config.pip.glibc.replace('.', '_')}"


def resolve(
    requirements: Sequence[str],
    *,
    python: str,
    arch: str,
    source: Sequence[str],
    config: Config,
    present: Mapping[str, str] | None = None,
    held: Sequence[Package] = (),
    constraints: Sequence[str] = (),
) -> tuple[Package, ...]:
    """The exact files that satisfy ``requirements`` on a Python and an architecture.

    Only wheels are taken, since a wheel is the same everywhere, except for the projects named
    in ``source``, whose own code may run for it, in a box with the network: so what uv keeps
    then is kept for nobody else. Nothing is installed. What is ``present`` already (names and
    versions) is kept if it can be, and not in the result; if they are in the result, what is
    ``held`` has its version, and what ``constraints`` are about is as they say. Raises
    ``TykkyError`` with the resolver's reason.
    """
    from tykky.tools.enclosure import Access, closed, enclosed
    from tykky.tools.scratch import Scratch

    line = [program(), "pip", "compile", "requirements.in", "--output-file", "pylock.toml"]
    line += ["--quiet", "--format", "pylock.toml"]
    line += ["--generate-hashes", "--no-header", "--no-annotate", "--no-python-downloads"]
    line += ["--python-version", python, "--python-platform", platform(config, arch)]
    line += ["--only-binary", ":all:"]
    for name in source:
        line += ["--no-binary", name]
    with _folder() as folder:
        scratch, work = Scratch(folder), folder / "work"
        work.mkdir()
        (work / "requirements.in").write_text("\n".join(requirements) + "\n", encoding="utf-8")
        cache = scratch.home if source else config.cache_dir / "resolved"
        with explained("keep what the package index says", "cache_dir"):
            cache.mkdir(parents=True, exist_ok=True)
        variables = {**closed(scratch), **environment(config), "UV_CACHE_DIR": str(cache)}
        local = (urlsplit(word).path for line in requirements for word in _LOCAL.findall(line))
        seen = [Path(unquote(path)) for path in local]
        access = Access(seen=seen, places={cache: cache, work: work}, network=True)
        line, variables = enclosed(line, variables, scratch, config, access)
        if constraints:
            (work / "constraints.txt").write_text("\n".join(constraints) + "\n", encoding="utf-8")
            line += ["--constraints", "constraints.txt"]
        if held:
            pins = "".join(f"{one.name}=={one.version}\n" for one in held)
            (work / "held.txt").write_text(pins, encoding="utf-8")
            line += ["--constraints", "held.txt"]
            line += [f"--exclude-newer-package={one.name}=false" for one in held]
        options: list[str] = []
        present = {canonical(name): version for name, version in (present or {}).items()}
        if present:
            # What an earlier answer says is kept, as far as it can be.
            rows = (f'[[packages]]\nname = "{n}"\nversion = "{v}"\n' for n, v in present.items())
            earlier = f'lock-version = "1.0"\ncreated-by = "tykky"\n{"".join(rows)}'
            (work / "pylock.toml").write_text(earlier, encoding="utf-8")
            stand_ins(present, work / "present")
            pins = "".join(f"{name}=={version}\n" for name, version in present.items())
            (work / "present.txt").write_text(pins, encoding="utf-8")
            options = ["--find-links", "present", "--constraints", "present.txt"]
        # If what is there cannot be kept, the second attempt may replace as much of it as it must.
        for more in (options, options[:2])[: 2 if options else 1]:
            done = subprocess.run(
                [*line, *more],
                env=variables,
                stdin=subprocess.DEVNULL,
                text=True,
                capture_output=True,
                check=False,
            )
            if done.returncode == 0:
                text = read_within(work, work / "pylock.toml").decode(errors="replace")
                return _packages(text, present)
        raise explain(done.stderr, indexes(config))


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder for what may be hostile; of Python's own, some releases follow links in it."""
    folder = Path(tempfile.mkdtemp(prefix="tykky-"))
    try:
        yield folder
    finally:
        discard(folder)


def stand_ins(present: Mapping[str, str], folder: Path) -> None:
    """Empty wheels of the projects that are there already, for the resolver to find.

    What is there may not be on the index as a wheel, or at all; and what it needs is there, too.
    """
    folder.mkdir()
    for name, version in present.items():
        info = f"{re.sub('[-_.]+', '_', name)}-{version}"
        head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        with zipfile.ZipFile(folder / f"{info}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{info}.dist-info/METADATA", head)
            wheel.writestr(f"{info}.dist-info/WHEEL", tag)
            wheel.writestr(f"{info}.dist-info/RECORD", "")


def _packages(text: str, present: Mapping[str, str]) -> tuple[Package, ...]:
    rows = wheels.toml(text).get("packages", [])
    return tuple(_package(row) for row in rows if present.get(row["name"]) != row.get("version"))


def install(
    box: Box, packages: Sequence[Package], source: Sequence[str], python: str, what: str
) -> None:
    """Install exactly these files into the environment at the prefix.

    They are downloaded and verified beforehand, and uv has no network; nor has what builds one
    of ``source``. ``what`` it is, with which ``python``, completes the progress line. Raises
    ``StepError`` with uv's reason.
    """
    count = plural(len(packages), "package")
    box.do(f"download {count}", lambda real: _provide(real, packages))
    pins = "".join(f"{p.name}=={p.version} --hash=sha256:{p.sha256}\n" for p in packages)
    wanted = box.write(".tykky-requirements.txt", pins)
    line: list[str | Path] = [program(), "pip", "install", "--python", box.prefix / "bin/python"]
    line += ["--require-hashes", "--no-deps", "--offline", "--no-index", "--find-links", _WHEELS]
    line += ["--requirements", wanted]
    for name in source:
        line += ["--no-binary", name]
    if not source:
        line.append("--no-build")
    cache = box.prefix / ".tykky-uv"
    env = offline(box.config)
    if source:
        # What is compiled must not name the folder that uv compiles it in, another each time.
        env |= dict.fromkeys(("CFLAGS", "CXXFLAGS"), "-g0")
    else:
        # Where it unpacks is where files may be linked from: each is made only once.
        env |= {"UV_CACHE_DIR": str(cache), "UV_LINK_MODE": "hardlink"}
    tools: list[tuple[str, ...]] = []
    while True:
        try:
            box.run(line, env=env, say=f"{count} into {what}")
            again = partial(_settle, packages=packages, line=line, env=env)
            box.do("let files that packages dispute be the last one's, by name", again)
            if not source:
                box.do("remove what uv has unpacked", lambda real: discard(real.real(cache)))
            return
        except StepError as error:
            said = "\n".join(error.details)
            # What builds one says what it needs for that piece by piece: in a file, then by code.
            wish = _TO_BUILD.search(said)
            needed = _plain(re.findall("`([^`]+)`", wish[1])) if wish and source else ()
            if not needed or needed in tools or len(tools) > 2 * len(source):
                raise explain(said, indexes(box.config)) from error
        tools.append(needed)
        provide_tools = partial(_provide_tools, needed=needed, python=python)
        box.do(f"download what builds packages: {', '.join(needed)}", provide_tools)


def _settle(
    real: RealBox, packages: Sequence[Package], line: Sequence[str | Path], env: Mapping[str, str]
) -> None:
    """Install packages again that bring different files of one name, one after the other.

    Which of them has won is chance otherwise, as uv installs them all at once.
    """
    for name in wheels.rivals(real.real("."), {package.name for package in packages}):
        real.run([*line, "--reinstall-package", name], env=env, say=f"{name} once more")


def _plain(said: Sequence[str]) -> tuple[str, ...]:
    """What a package says it needs, if that is names and versions: nothing else is passed on."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        found = [Requirement(text) for text in said]
    except InvalidRequirement:
        return ()
    return tuple(map(str, found)) if not any(one.url for one in found) else ()


def _provide(real: RealBox, packages: Sequence[Package]) -> None:
    """Let a box have the files of packages."""
    addresses: dict[str, str] = {}
    files = wheels.provide(packages, indexes(real.config), real.config, real.say, addresses)
    real.files |= {path: _WHEELS / name for name, path in files.items()}
    for package in packages:
        url = package.url or addresses.get(package.sha256, "")
        real.note_fetched(package.file, url, package.sha256, files[package.file])


def _provide_tools(real: RealBox, needed: Sequence[str], python: str) -> None:
    """Let a box have what satisfies some requirements, too."""
    config, arch = real.config, real.lock.arch
    _provide(real, resolve(needed, python=python, arch=arch, source=(), config=config))


def _package(row: dict[str, Any]) -> Package:
    direct = row.get("archive")  # that a requirement names by its address
    chosen = direct or (row.get("wheels") or [row.get("sdist")])[0]
    if not chosen or "sha256" not in chosen.get("hashes", {}):
        named = f"{row['name']} {row.get('version', '')}".strip()
        if any(key in row for key in ("vcs", "directory")):
            cause = f"{named} is no file, which a lock could name by its digest"
            remedy = "make a wheel of it, and name that: 'NAME @ file:///PATH/NAME-1.0-...whl'"
        else:
            cause = f"the package index gives no sha256 for {named}"
            remedy = "use a package index that does, or name a released version"
        raise LockError(cause, remedy=remedy)
    url = chosen.get("url") or Path(chosen["path"]).as_uri()
    return Package(
        name=row["name"],
        version=row["version"],
        file=Path(unquote(urlsplit(url).path)).name,
        sha256=chosen["hashes"]["sha256"],
        size=int(chosen.get("size", 0)),
        url=wheels.public(url) if direct else "",
    )
