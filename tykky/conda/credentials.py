"""Passwords and tokens in the addresses of channels: used to ask, and written nowhere.

A channel that not everybody may use has its credentials in its address, as
``https://USER:PASSWORD@host/channel`` or ``https://host/t/TOKEN/channel``. Everything that is kept
or shown (locks, records, logs, messages, caches) has the address without them; they are put back
from the configuration when something is asked for.

Public names: ``public``, ``private``, ``login``, ``taken_out``.
"""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tykky.conda.environment import Environment

if TYPE_CHECKING:
    from tykky.config import Config

_USER = re.compile(r"^(https?://)[^/@]*@")
_TOKEN = re.compile(r"^(https?://[^/]*)/t/[^/]+(?=/|$)")


def public(url: str) -> str:
    """The address without credentials."""
    return _TOKEN.sub(r"\1", _USER.sub(r"\1", url))


def private(url: str, config: Config) -> str:
    """The address to ask for what is at a public one: with credentials if its channel has such."""
    addresses = [item.partition("=")[2].strip() for item in config.conda.aliases]
    for address in (*addresses, config.conda.channel_alias):
        full = address.rstrip("/")
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
