"""The registries that have stacks: which there are, and what is in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tykky.bases.session import Session
from tykky.config.parsing import BadValueError, registry_path
from tykky.errors import ConfigError, Exit, StepError, TykkyError
from tykky.exchange.artifact import MANIFEST, repository_of
from tykky.files import parse_json

if TYPE_CHECKING:
    from tykky.config import Config

#: So many names are asked for at once.
_AT_ONCE = 1000


@dataclass(frozen=True)
class Registry:
    """A path of a registry, ``host/path``, below which each stack has a repository."""

    path: str
    patience: int

    @classmethod
    def configured(cls, config: Config, given: str | None = None) -> list[Registry]:
        """Those that are asked, in order: the one that is ``given``, or all configured ones.

        Raises ``ConfigError`` if there is none.
        """
        try:
            paths = [registry_path(given)] if given else [*config.registries]
        except BadValueError as error:
            shown = re.sub(r"^[^/]*@", "***@", given or "")  # who one is, is not said here
            raise ConfigError(f"'{shown}' {error}", remedy="name one: HOST/PATH") from None
        if not paths:
            raise ConfigError(
                "no registry is named, from which stacks could be had",
                remedy="name one: --from HOST/PATH (of push: --to), or for always: 'tykky config "
                "set registries HOST/PATH'",
            )
        return [cls(path, config.timeout) for path in paths]

    def session(self, name: str) -> Session:
        """Talk about one stack."""
        host, _, folder = self.path.partition("/")
        repository = f"{folder}/{repository_of(name)}".lstrip("/")
        if host in ("docker.io", "index.docker.io"):
            host = "registry-1.docker.io"
        return Session(host, repository, self.patience, "stack", Exit.NOT_FOUND)

    def name_of(self, name: str) -> str:
        """What a stack's repository is called on the registry."""
        return f"{self.path.partition('/')[2]}/{name}".lstrip("/")

    def tags(self, name: str) -> list[str]:
        """The tags of a stack, sorted; none if the registry has no such stack."""
        session = self.session(name)
        return sorted(self._listed(session, f"{session.address}/tags/list", "tags"))

    def stacks(self) -> list[str]:
        """The names of all stacks, sorted. Raises ``StepError`` where a registry does not tell."""
        session = self.session("x")
        base = session.address.removesuffix(f"/{session.repository}")
        folder = self.name_of("")
        found = self._listed(session, f"{base}/_catalog", "repositories")
        inside = (name[len(folder) :] for name in found if name.startswith(folder))
        return sorted(name for name in inside if name and "/" not in name)

    def _listed(self, session: Session, url: str, key: str) -> Iterator[str]:
        """The names that a list of a registry has, page by page."""
        last = ""
        while True:
            query = {"n": str(_AT_ONCE), **({"last": last} if last else {})}
            answer, text = session.ask("GET", url, query=query)
            if answer.status_code == 404 and key == "tags":
                return
            if answer.status_code != 200:
                error = session.refused(answer, url)
                raise error if answer.status_code in (401, 403) else _untold(self, error)
            try:
                names = [*map(str, parse_json(text)[key] or ())]
            except (ValueError, KeyError, TypeError):
                names = []
            yield from names
            if "next" not in answer.headers.get("Link", "") or not names or names[-1] == last:
                return
            last = names[-1]


def _untold(registry: Registry, error: TykkyError) -> TykkyError:
    error.cause = f"{registry.path} does not say what it has: {error.cause}"
    error.remedy = "not every registry tells that; name a stack: 'tykky registry list NAME'"
    return error


def manifest(session: Session, name: str) -> bytes | None:
    """The text of a manifest by tag or digest; ``None`` if there is none. Raises ``StepError``."""
    url = f"{session.address}/manifests/{name}"
    answer, text = session.ask("GET", url, {"Accept": MANIFEST})
    if answer.status_code == 404:
        return None
    if answer.status_code != 200:
        raise session.refused(answer, url)
    return text


def summary(text: bytes, what: str) -> Mapping[str, Any]:
    """What a manifest tells of an install: its annotations, the sum of all sizes."""
    try:
        found = parse_json(text)
        notes = dict(found.get("annotations") or {})
        total = sum(part["size"] for part in found["layers"])
        if type(total) is not int:  # JSON knows numbers that no answer of ours may have
            raise TypeError(total)
    except (ValueError, KeyError, TypeError):
        cause = f"{what} is nothing that can be understood"
        raise StepError(cause, remedy="ask who runs the registry", code=Exit.DAMAGED) from None
    told = {re.sub(r".*\.", "", key): value for key, value in notes.items()}
    return {**told, "bytes": total}
