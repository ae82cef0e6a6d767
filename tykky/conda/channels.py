"""Channels: from the names that recipes and environment files use to addresses.

A site says in its configuration what a name means (``conda.aliases``), where all other names
are found (``conda.channel_alias``), and which channels may not be used and why
(``conda.blocked``). The user's own ``.condarc`` counts only if they set CW_ENABLE_CONDARC, so that
a stack is the same whoever makes it.

A channel that not everybody may use has its credentials in its address, as
``https://USER:PASSWORD@host/channel`` or ``https://host/t/TOKEN/channel``. Everything that is kept
or shown (locks, records, logs, messages, caches) has the address without them; they are put back
from the configuration when something is asked for.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tykky.conda.environment import Environment
from tykky.config import KEYS
from tykky.errors import ConfigError, Exit, StepError, TykkyError, Where
from tykky.text import load_yaml, read_text

if TYPE_CHECKING:
    from tykky.config import Config

#: What conda means by ``defaults`` on Linux.
DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")

#: The oldest Linux that stacks can run on: the first with FUSE in user namespaces.
_LINUX = "4.18"

_SUBDIRS = {"x86_64": "linux-64", "aarch64": "linux-aarch64", "ppc64le": "linux-ppc64le"}
_SUBDIR = re.compile(r"/(noarch|linux-(64|aarch64|ppc64le))/?$")
_USER = re.compile(r"^(https?://)[^/@]*@")
_TOKEN = re.compile(r"^(https?://[^/]*)/t/[^/]+(?=/|$)")
_VIRTUAL = re.compile(r"(__[a-z0-9_]+)(?:=+([^=\s]+)(?:=([^=\s]+))?)?")


@dataclass(frozen=True)
class Channel:
    """A channel: its name as it was written; its address without credentials and last slash."""

    name: str
    url: str


def on_disk(urls: Iterable[str]) -> list[Path]:
    """The directories of those channels that are on this machine."""
    return [Path(unquote(urlsplit(url).path)) for url in urls if url.startswith("file:")]


def subdir_of(arch: str) -> str:
    """The folder of a channel for an architecture. Raises ``TykkyError`` if conda has none."""
    if arch not in _SUBDIRS:
        raise TykkyError(
            f"conda has no packages for {arch}",
            remedy=f"it has them for {', '.join(_SUBDIRS)}",
            code=Exit.NODE,
        )
    return _SUBDIRS[arch]


def resolve(names: Iterable[str], config: Config) -> tuple[Channel, ...]:
    """The channels behind names, in order. ``nodefaults`` means none.

    Raises ``StepError`` for one that the site has blocked.
    """
    aliases = dict(_aliases(config))
    found: dict[str, Channel] = {}
    for name in names:
        if name == "nodefaults":
            continue
        for address in _addresses(name, aliases, config):
            url = public(address)
            _check_blocked(name, url, config)
            found.setdefault(url, Channel(name, url))
    return tuple(found.values())


def qualify(
    specs: Iterable[str], names: Iterable[str], config: Config
) -> tuple[tuple[str, ...], tuple[Channel, ...]]:
    """Specs and channels to ask a solver for, with addresses instead of names.

    A channel that only a spec names (``bioconda::samtools``) comes last. Raises as :func:`resolve`.
    """
    found, asked = [], list(names)
    for spec in specs:
        name, separator, rest = spec.rpartition("::")
        if separator:
            asked.append(name.strip())
            spec = f"{resolve((name.strip(),), config)[0].url}::{rest.strip()}"
        found.append(spec)
    return tuple(found), resolve(asked, config)


def _addresses(name: str, aliases: dict[str, str], config: Config) -> tuple[str, ...]:
    if name in aliases:
        return (aliases[name],)
    if name == "defaults":
        return DEFAULTS
    if name.startswith("/"):
        return (Path(name).as_uri(),)
    if "://" in name:
        return (_SUBDIR.sub("", name.rstrip("/")).rstrip("/"),)
    first, _, rest = name.partition("/")  # conda-forge/label/rc
    if first in aliases:
        return (f"{aliases[first]}/{rest}",)
    return (f"{config.conda.channel_alias.rstrip('/')}/{name}",)


def _aliases(config: Config) -> list[tuple[str, str]]:
    """Names and their addresses; of those with the same name the last counts."""
    pairs = (item.partition("=") for item in config.conda.aliases)
    return [(name, url) for name, _, url in pairs]


def name_of(url: str, config: Config) -> str:
    """What a channel at an address is called here; the address itself if it has no name."""
    plain, alias = url.rstrip("/"), config.conda.channel_alias.rstrip("/")
    named = {public(address): name for name, address in _aliases(config)}
    return named.get(plain) or plain.removeprefix(f"{public(alias)}/")


def _check_blocked(name: str, url: str, config: Config) -> None:
    for blocked in config.conda.blocked:
        plain = blocked.rstrip("/")
        if name == plain or url == plain or url.startswith(f"{plain}/"):
            raise StepError(
                f"the channel '{name}' may not be used here"
                + (f": {config.conda.blocked_message}" if config.conda.blocked_message else ""),
                remedy="name another channel, such as conda-forge, and 'nodefaults'; "
                "'tykky config why conda.blocked' says who decided it",
                code=Exit.RESOLVE,
            )


def virtual_packages(
    wanted: Iterable[str], config: Config, arch: str
) -> tuple[tuple[str, str, str], ...]:
    """What the machines that a stack will run on offer: name, version and build of each.

    ``wanted`` are a recipe's own, ``__cuda=12.4``, which count more than the configured. One of
    the configured may be ``machine``, for all that this machine has, if it is of the
    architecture. Raises ``ConfigError`` for what is no virtual package.
    """
    import platform

    found = {
        "__unix": ("__unix", "0", "0"),
        "__linux": ("__linux", _LINUX, "0"),
        "__glibc": ("__glibc", config.pip.glibc, "0"),
        "__archspec": ("__archspec", "1", arch),
    }
    for text in (*config.conda.virtual_packages, *wanted):
        if text == "machine":
            if arch == platform.machine():
                found["machine"] = ("machine", "0", "0")
            continue
        match = _VIRTUAL.fullmatch(text.replace(" ", ""))
        if match is None:
            raise ConfigError(
                f"'{text}' is no virtual package",
                remedy="write NAME=VERSION, for example __glibc=2.28 or __cuda=12.4",
            )
        found[match[1]] = (match[1], match[2] or "0", match[3] or "0")
    return tuple(found.values())


def lacking(declared: Iterable[str], machine: Mapping[str, str], *, glibc: bool) -> Iterator[str]:
    """What a stack counts on and this machine does not have, in words, one for each.

    ``declared`` are the virtual packages that it was locked for, ``NAME=VERSION=BUILD``; whether
    ``glibc`` matters depends on whether the base brings its own. A stack may well be built for
    other machines than the one that builds it, so this is no error.
    """
    from packaging.version import InvalidVersion, Version

    for name, version in (text.split("=")[:2] for text in declared):
        there = machine.get(name, "")
        if name not in ("__cuda", "__glibc", "__linux") or (name == "__glibc" and not glibc):
            continue
        try:
            enough = bool(there) and Version(there) >= Version(version)
        except InvalidVersion:
            continue
        if not enough:
            yield (
                f"the stack is for machines with {name} {version}, and this one has "
                f"{there or 'none'}; if it is to run here, lock it for that "
                "('virtual_packages', conda.virtual_packages)"
            )


# -- the user's own configuration ---------------------------------------------------------

#: What of it has more than one value.
_CONDARC: dict[str, type] = {
    "channels": list,
    "default_channels": list,
    "custom_channels": dict,
}
#: What users set to have their own configuration used.
_VARIABLE = "CW_ENABLE_CONDARC"


def honoured(config: Config) -> Config:
    """The configuration with that of the user's conda on top, if they ask for it.

    Read are ``channels``, ``default_channels``, ``custom_channels``, ``channel_alias`` and
    ``channel_priority``, from the file that CONDARC names or ``~/.condarc``. What the site has
    blocked stays blocked. Raises ``ConfigError`` for a file that cannot be read.
    """
    if not os.environ.get(_VARIABLE):
        return config
    path = Path(os.environ.get("CONDARC") or Path(os.environ.get("HOME", "/"), ".condarc"))
    if not path.is_file():
        return config
    data = _condarc(path)
    own = data.get("custom_channels") or {}
    own = {name: _checked(own[name], f"custom_channels: {name}", path) for name in own}
    aliases = (f"{name}={url.rstrip('/')}/{name}" for name, url in own.items())
    channels: list[str] = []
    for name in map(str, data.get("channels") or ()):
        defaults = data.get("default_channels")
        channels += map(str, defaults) if name == "defaults" and defaults else [name]
    alias = data.get("channel_alias")
    conda = config.conda
    return replace(
        config,
        conda=replace(
            conda,
            channels=tuple(channels) or conda.channels,
            channel_alias=_checked(alias, "channel_alias", path) if alias else conda.channel_alias,
            aliases=(*conda.aliases, *aliases),
            strict_priority=str(data.get("channel_priority") or "strict") == "strict",
        ),
    )


def _condarc(path: Path) -> dict[str, Any]:
    remedy = f"correct it, or unset {_VARIABLE}"
    text = read_text(path, "conda configuration", ConfigError, remedy=remedy)
    try:
        data = load_yaml(text, path, ConfigError)
    except ConfigError as error:
        error.remedy += f", or unset {_VARIABLE}"
        raise
    data = data if isinstance(data, dict) else {}
    for key, shape in _CONDARC.items():
        if not isinstance(data.get(key) or shape(), shape):
            what = "a list of channels" if shape is list else "NAME: ADDRESS, one a line"
            cause = f"'{key}' of the conda configuration is not {what}"
            raise ConfigError(cause, remedy=f"correct it, or unset {_VARIABLE}", where=Where(path))
    return data


def _checked(value: object, key: str, path: Path) -> str:
    """An address of that file. Raises ``ConfigError``."""
    try:
        return str(KEYS["conda.channel_alias"].parse(str(value)))
    except ValueError as error:
        cause = f"'{key}' of the conda configuration, '{value}', {error}"
        raise ConfigError(
            cause, remedy=f"correct it, or unset {_VARIABLE}", where=Where(path)
        ) from None


# -- credentials --------------------------------------------------------------------------


def public(url: str) -> str:
    """The address without credentials."""
    return _TOKEN.sub(r"\1", _USER.sub(r"\1", url))


def private(url: str, config: Config) -> str:
    """The address to ask for what is at a public one: with credentials if its channel has such."""
    addresses = [url for _, url in _aliases(config)]
    for full in (*addresses, config.conda.channel_alias.rstrip("/")):
        known = public(full)
        if known != full and (url == known or url.startswith(f"{known}/")):
            return full + url[len(known) :]
    return url


def login(url: str) -> tuple[str, str]:
    """An address without user and password, and the header that says these; or ''."""
    parts = urlsplit(url)
    if parts.username is None or not _USER.match(url):
        return url, ""
    words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return _USER.sub(r"\1", url), "Basic " + base64.b64encode(words.encode()).decode()


def taken_out(wanted: Environment, config: Config) -> tuple[Environment, Config]:
    """What is wanted, without credentials, and the configuration with those."""
    found: dict[str, str] = {}

    def known(address: str) -> str:
        if (plain := public(address)) != address:
            found[plain.rstrip("/")] = address.rstrip("/")
        return plain

    def of_spec(spec: str) -> str:
        channel, separator, rest = spec.rpartition("::")
        return f"{known(channel)}{separator}{rest}"

    def of_package(url: str) -> str:
        known(url.rsplit("/", 2)[0])
        return public(url)

    wanted = replace(
        wanted,
        channels=tuple(known(name) for name in wanted.channels),
        specs=tuple(of_spec(spec) for spec in wanted.specs),
        pinned=tuple(replace(one, url=of_package(one.url)) for one in wanted.pinned),
    )
    aliases = (*config.conda.aliases, *(f"{plain}={full}" for plain, full in found.items()))
    return wanted, replace(config, conda=replace(config.conda, aliases=aliases))
