"""Bases: what stacks are built in and run on. The host, or an image.

``find`` says what a name means, without downloading anything large; ``provide`` sees that it is
there. Images that have to be pulled are kept once for a site, see :mod:`tykky.bases.cache`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bases.base import Base, HostBase, arch, host, image_of_host
from tykky.bases.image import ImageBase, image_base
from tykky.bases.reference import Reference, changed, resolve
from tykky.bases.stacks import StackBase, stack_base
from tykky.errors import Exit, StepError
from tykky.tools.enclosure import PATH

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.fetch import Say

__all__ = [
    "PATH",
    "Base",
    "HostBase",
    "ImageBase",
    "Pending",
    "StackBase",
    "arch",
    "find",
    "host",
    "image_of_host",
    "is_known",
    "provide",
]


@dataclass(frozen=True)
class Pending(Base):
    """A base of which no more is known than what it is; ``provide`` makes the real one of it.

    It answers as if everything were there, which is right for a plan that is only shown.
    ``locked`` tells that the digest is a lock's, and not what is there now.
    """

    reference: Reference
    locked: bool = False

    def which(self, program: str) -> Path | None:
        """The path that a program usually has."""
        return Path("/usr/bin", program)

    def pythons(self) -> dict[str, Path]:
        """Every Python there may be."""
        names = (f"3.{minor}" for minor in range(6, 30))
        return {name: Path(f"/usr/bin/python{name}") for name in names}

    def programs(self, pattern: str, *, every: bool = False) -> list[str]:
        """The pattern itself."""
        return [pattern]


def find(
    name: str,
    config: Config,
    *,
    folder: Path = Path("/"),
    digest: str = "",
    again: bool = False,
) -> Base:
    """What a name means on this machine; relative files count from ``folder``.

    ``digest`` is what a lock says that the base is; with ``again``, a registry is asked although
    the name was pulled before. Raises ``TykkyError`` with code ``BASE`` for a name that means
    nothing, and what a registry answers if it has to be asked.
    """
    reference = resolve(name or "host", config.bases, folder)
    if reference.scheme == "host":
        return host()
    from tykky.bases.pull import identify

    known = digest or identify(reference, config, again=again)
    return Pending(name, "not looked into yet", known, reference, bool(digest))


def is_known(name: str, config: Config, *, folder: Path = Path("/")) -> bool:
    """Whether ``find`` can tell what a name means without asking a registry."""
    from tykky.bases import cache

    reference = resolve(name or "host", config.bases, folder)
    remote = reference.scheme in ("docker", "oras")
    return not remote or cache.by_reference(config, str(reference)) is not None


def provide(found: Base, config: Config, say: Say) -> Base:
    """The base itself, pulled if it is not there. Raises ``TykkyError``."""
    if not isinstance(found, Pending):
        return found
    reference = found.reference
    if reference.scheme == "stack":
        return stack_base(found.name, reference.target, config)
    from tykky.bases.registry import wrong_arch
    from tykky.files import digest_file

    if reference.scheme == "path":
        base = image_base(found.name, found.digest, reference.path, {})
        if base.file is not None:
            if base.file.arch not in ("", arch()):
                raise wrong_arch(reference, base.file.arch)
            if found.locked and (now := digest_file(base.file.path)) != found.digest:
                raise changed(reference, now, found.digest)
        return base
    from tykky.bases import cache
    from tykky.bases.pull import pull

    pulled = cache.use(config, found.digest)
    if pulled is None:
        pulled = pull(reference, config, say, found.digest)
    path = cache.file_of(config, pulled)
    if not path.exists() or path.stat().st_size != pulled.bytes:
        raise StepError(
            f"the image {path} is missing or damaged",
            remedy=f"pull it again: tykky base pull --again {found.name}",
            code=Exit.DAMAGED,
        )
    return image_base(found.name, found.digest, path, pulled.config)
