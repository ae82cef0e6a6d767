"""How a base or an image is named: what a text means, and the table of aliases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tykky.bases.base import release
from tykky.errors import Exit, StepError, TykkyError, did_you_mean

_REMEDY = (
    "a base is 'host', 'auto', the path of an image or directory, docker://..., oras://..., "
    "oci:DIR, oci-archive:FILE, docker-archive:FILE, debian:FILE, stack:NAME@VERSION, or an alias: "
    "'tykky base list' shows them"
)
_SCHEMES = ("docker", "oras", "oci", "oci-archive", "docker-archive", "debian", "stack", "path")
#: Schemes whose target is a file, counted from the folder of who names it.
_FILES = ("oci", "oci-archive", "docker-archive", "debian", "path")


@dataclass(frozen=True)
class Reference:
    """A base as it is named: the scheme, and what the scheme is about.

    For ``docker`` and ``oras`` the target is ``host/repository[:tag][@sha256:...]``; for files,
    an absolute path (of ``oci`` perhaps with ``:tag``); for ``stack``, a spec; for ``host``, empty.
    """

    scheme: str
    target: str

    def __str__(self) -> str:
        if self.scheme in ("docker", "oras"):
            return f"{self.scheme}://{self.target}"
        if self.scheme in ("host", "path"):
            return self.target or self.scheme
        return f"{self.scheme}:{self.target}"

    @property
    def path(self) -> Path:
        """The file of a scheme that has one."""
        return Path(self.target)


def resolve(text: str, aliases: Sequence[tuple[str, str]], folder: Path) -> Reference:
    """The reference that a text means, through aliases and ``auto``.

    Raises ``TykkyError`` with code ``BASE`` for a text that means nothing.
    """
    table = dict(aliases)
    seen: list[str] = []
    while text not in seen:
        seen.append(text)
        if text == "auto":
            text = _automatic(table)
        if text in table:
            text = table[text]
        else:
            return _parse(text, list(table), folder)
    raise TykkyError(
        f"the aliases of bases go in a circle: {' -> '.join([*seen, text])}",
        remedy="correct them: 'tykky config why bases'",
        code=Exit.CONFIG,
    )


def _parse(text: str, known: list[str], folder: Path) -> Reference:
    """The reference that a text spells out; a relative file counts from ``folder``."""
    if text in ("", "host"):
        return Reference("host", "")
    if text.startswith(("/", "./", "../")):
        return Reference("path", str(folder / text))
    scheme, _, target = text.removeprefix("file://").partition(":")
    target = target.removeprefix("//") if scheme in ("docker", "oras") else target
    if text.startswith("file:///"):
        scheme, target = "path", text.removeprefix("file://")
    if scheme not in _SCHEMES or not target:
        raise TykkyError(
            f"'{text}' is no base",
            remedy=did_you_mean(text, ["host", "auto", *known]) or _REMEDY,
            code=Exit.BASE,
        )
    return Reference(scheme, str(folder / target) if scheme in _FILES else target)


def _automatic(table: dict[str, str]) -> str:
    """The alias that is named after the host's distribution."""
    values = release()
    version = values.get("VERSION_ID", "")
    # ``rocky-9.4``, ``rocky-9``, then the same for the distributions it is like.
    likes = (values.get("ID", "linux"), *values.get("ID_LIKE", "").split())
    endings = [f"-{text}" if text else "" for text in (version, version.partition(".")[0])]
    names = list(dict.fromkeys(name + ending for name in likes for ending in endings))
    for name in names:
        if name in table:
            return name
    raise TykkyError(
        "the base 'auto' finds no image for this host: there is no alias "
        + " or ".join(f"'{name}'" for name in names),
        remedy=f"give it one: tykky config set bases '{names[0]}=/path/of/image.sif'",
        code=Exit.BASE,
    )


def unreadable(what: str, error: OSError) -> TykkyError:
    """The error for the file of a base that cannot be read."""
    is_gone = isinstance(error, FileNotFoundError)
    why = "is not there" if is_gone else f"cannot be read: {error.strerror or error}"
    return TykkyError(
        f"{what} {why}",
        remedy="correct its path in the recipe or in 'bases', or its permissions; or build it",
        code=Exit.BASE,
    )


def changed(what: Reference, found: str, locked: str) -> TykkyError:
    """The error for an image that has another digest than its lock says."""
    return StepError(
        f"{what} is not what was locked: its digest is {found} instead of {locked}",
        remedy="if it should have changed, lock the recipe again",
        code=Exit.DAMAGED,
    )
