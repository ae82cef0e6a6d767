"""Names and passwords for registries, from where container programs keep them.

Looked into, in this order: ``APPTAINER_DOCKER_USERNAME`` and ``APPTAINER_DOCKER_PASSWORD`` (also
``SINGULARITY_...``), which are for any registry that asks; then the files of ``podman login`` and
``skopeo login`` (``$REGISTRY_AUTH_FILE``, ``$XDG_RUNTIME_DIR/containers/auth.json``,
``~/.config/containers/auth.json``), ``docker login`` (``~/.docker/config.json`` or
``$DOCKER_CONFIG``), and ``apptainer registry login`` (``~/.apptainer/docker-config.json``).
The form of these files: containers-auth.json(5).

Public names: ``Credentials``, ``find``.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: The names under which Docker Hub is kept; the first is that of its registry.
_HUB = ("registry-1.docker.io", "docker.io", "index.docker.io")


@dataclass(frozen=True)
class Credentials:
    """A name and a password; ``source`` is the file or variable that they are from."""

    user: str
    password: str = field(repr=False)
    source: str

    @property
    def header(self) -> dict[str, str]:
        """The header of a request that brings them along."""
        text = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {text}"}


def find(host: str, repository: str, environ: Mapping[str, str] = os.environ) -> Credentials | None:
    """What a user has for a repository of a registry, or ``None``."""
    for prefix in ("APPTAINER", "SINGULARITY"):
        user = environ.get(f"{prefix}_DOCKER_USERNAME")
        password = environ.get(f"{prefix}_DOCKER_PASSWORD")
        if user and password:
            return Credentials(user, password, f"${prefix}_DOCKER_USERNAME")
    for file in _files(environ):
        known = _read(file)
        for key in _keys(host, repository):
            if (entry := known.get(key)) and (found := _decoded(entry, file)):
                return found
    return None


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environ.get("HOME") or "/")
    if given := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(given)
    if session := environ.get("XDG_RUNTIME_DIR"):
        yield Path(session, "containers/auth.json")
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "containers/auth.json")
    yield Path(environ.get("DOCKER_CONFIG") or home / ".docker", "config.json")
    yield Path(environ.get("APPTAINER_CONFIGDIR") or home / ".apptainer", "docker-config.json")


def _read(file: Path) -> dict[str, Any]:
    """The entries of a file by registry or by repository; none if it is missing or no such file.

    Whoever has a damaged one is told by the registry that a name is wanted.
    """
    try:
        entries = json.loads(file.read_bytes())["auths"]
        return {_bare(name): entry for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _bare(name: str) -> str:
    """``index.docker.io`` for ``https://index.docker.io/v1/``: Docker writes addresses."""
    address = name.partition("://")
    return address[2].partition("/")[0] if address[1] else name.rstrip("/")


def _keys(host: str, repository: str) -> Iterator[str]:
    """Under which names there may be something, the narrowest first."""
    for name in _HUB if host == _HUB[0] else (host,):
        parts = repository.split("/")
        while parts:
            yield "/".join((name, *parts))
            parts.pop()
        yield name


def _decoded(entry: Any, file: Path) -> Credentials | None:
    try:
        text = base64.b64decode(entry["auth"], validate=True).decode()
    except (KeyError, TypeError, ValueError, binascii.Error):
        return None  # kept by a helper program, or damaged
    user, colon, password = text.partition(":")
    return Credentials(user, password.rstrip("\0"), str(file)) if colon and user else None
