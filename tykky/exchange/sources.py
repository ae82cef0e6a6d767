"""What artifacts are had from: registries; files are in :mod:`tykky.exchange.archive`."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tykky import fetch
from tykky.errors import Exit, StepError, explained
from tykky.exchange import registries
from tykky.exchange.artifact import MOST, Part
from tykky.exchange.registries import Registry

if TYPE_CHECKING:
    from tykky.bases.session import Session
    from tykky.config import Config


class Source(Protocol):
    """What has artifacts: a registry, or a file that was made of some."""

    @property
    def title(self) -> str:
        """What people know it by."""

    def manifest(self, name: str, tag: str) -> bytes | None:
        """The manifest of a stack by a tag, if there is one. Raises ``TykkyError``."""

    def fetch(self, name: str, part: Part, say: fetch.Say, cache: Path | None = None) -> Path:
        """A part in the cache of downloads, or in another one, whole. Raises ``TykkyError``."""


@dataclass
class Remote:
    """A registry as a source; each stack's repository is asked with one token as long as it is."""

    registry: Registry
    config: Config
    sessions: dict[str, Session] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Its path."""
        return self.registry.path

    def session(self, name: str) -> Session:
        """What talks about a stack."""
        if name not in self.sessions:
            self.sessions[name] = self.registry.session(name)
        return self.sessions[name]

    def manifest(self, name: str, tag: str) -> bytes | None:
        """One request, whether there is one or not."""
        return registries.manifest(self.session(name), tag)

    def fetch(self, name: str, part: Part, say: fetch.Say, cache: Path | None = None) -> Path:
        """A part, resumed where an earlier download broke off."""
        session = self.session(name)
        try:
            return fetch.fetch(
                session.blob(part.digest),
                part.sha256,
                cache or self.config.cache_dir,
                headers=session.headers,
                renew=session.renew,
                patience=self.config.timeout,
                say=say,
            )
        except StepError as error:
            if error.code is Exit.BUILD:  # it has the manifest, and not the part
                error.code = Exit.NOT_FOUND
                error.remedy = "push it again, or ask who runs the registry"
            elif error.code is Exit.DAMAGED:
                error.remedy = "the registry is damaged or not to be trusted: ask who runs it"
            raise


def small(source: Source, name: str, part: Part) -> bytes:
    """What is in a small part, of which no copy is kept."""
    if part.size > MOST:
        cause = f"{part.title or 'a part'} of {name} in {source.title} is far too large"
        raise StepError(cause, remedy="ask who has made it", code=Exit.DAMAGED)
    with tempfile.TemporaryDirectory(prefix="tykky-") as folder, explained(f"read {source.title}"):
        return source.fetch(name, part, lambda _: None, Path(folder)).read_bytes()
