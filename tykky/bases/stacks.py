"""An installed stack as a base: its programs and packages, on top of what it runs on itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from tykky.bases.base import Base, host
from tykky.bases.image import Listing, image_base
from tykky.bases.layers import listing_of
from tykky.errors import Exit, StoreError, TykkyError
from tykky.spec import is_path

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.store import Record


@dataclass(frozen=True)
class StackBase(Base):
    """A generation of the place at ``prefix``, whose ``image`` lies over it, and what is ``below``.

    ``packages`` are the names and versions of its Python packages, ``title`` is what people call
    it, ``commands`` are what it offers, and it ``activates`` if entering it puts it first on PATH.
    """

    prefix: Path
    generation: int
    images: tuple[Path, ...]
    below: Base
    packages: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    commands: tuple[str, ...] = ()
    activates: bool = False

    @property
    def has_root(self) -> bool:
        """Whether what is below brings a root directory."""
        return self.below.has_root

    @property
    def path(self) -> str:
        """The stack's own directory, then those below it."""
        return f"{self.prefix}/bin:{self.below.path}"

    @cached_property
    def listing(self) -> Listing:
        """Everything in the install, from its own top on. Raises ``TykkyError``."""
        return listing_of(self.images)

    def pythons(self) -> dict[str, Path]:
        """The stack's own Python, else those below it, by ``major.minor``."""
        return super().pythons() or self.below.pythons()

    def programs(self, pattern: str, *, every: bool = False) -> list[str]:
        """The programs of the stack that a pattern means, else those below it."""
        return self._own(pattern) or self.below.programs(pattern, every=every)

    def _own(self, pattern: str) -> list[str]:
        # Not what they lead to, which may be below: every name in 'bin' is a program.
        if "/" not in pattern:
            inside = f"/bin/{pattern}"
        elif pattern.startswith(f"{self.prefix}/"):
            inside = pattern.removeprefix(str(self.prefix))
        else:
            return []
        folder, _, name = inside.rpartition("/")
        there = (PurePosixPath(path) for path in self.listing.inside(folder or "/"))
        return sorted(f"{self.prefix}{path}" for path in there if fnmatchcase(path.name, name))


def find_stack(spec: str, config: Config) -> Record:
    """The current generation that ``stack:SPEC`` means. Raises ``TykkyError``, code ``BASE``.

    A path may be of a root that the configuration does not know.
    """
    from tykky.store import Place, Store, roots

    store = Store.of(config)
    try:
        if is_path(spec):
            return Place(Path(spec)).record()
        store = roots.having(store, spec)
        return store.record(store.one(spec))
    except StoreError as error:
        raise TykkyError(
            f"the base 'stack:{spec}' is not there: {error.cause}",
            remedy=roots.where_from(store, spec),
            code=Exit.BASE,
        ) from error


def stack_base(name: str, spec: str, config: Config, record: Record | None = None) -> StackBase:
    """The base that is the current generation of a spec's install, or that of a ``record``.

    Raises ``TykkyError``.
    """
    from tykky.runtime.base import image_path

    record = record or find_stack(spec, config)
    prefix, said = Path(record.prefix), record.base
    root = record.launch.get("root")
    below = image_base(said["name"], said["digest"], Path(root), {}) if root else host()
    if not record.images:
        raise TykkyError(
            f"the base 'stack:{spec}' is a wrapped container, which has no image of its own",
            remedy="name the container itself as the base",
            code=Exit.BASE,
        )
    if "parent" in record.images[0]:
        raise TykkyError(
            f"the base 'stack:{spec}' is a layer on another stack itself",
            remedy="name that stack as the base, with the packages of both",
            code=Exit.BASE,
        )
    images = tuple(image_path(prefix, image["file"]) for image in record.images)
    if lost := next((path for path in images if not path.exists()), None):
        raise TykkyError(
            f"{record.title} is not whole: {lost} is missing",
            remedy=f"who keeps it can mend it: 'tykky verify {record.module}' tells how",
            code=Exit.DAMAGED,
        )
    by_record = record.kind in ("pip", "extension")  # others have more than Python's
    return StackBase(
        name,
        f"{record.title} on {below.id}",
        record.build,
        prefix,
        record.generation,
        images,
        below,
        dict(record.packages if by_record else _projects(images)),
        record.title,
        record.commands,
        bool(record.launch.get("activation")),
    )


@lru_cache(maxsize=1)
def _projects(images: tuple[Path, ...]) -> tuple[tuple[str, str], ...]:
    """The names and versions of the Python projects in images, which are named by their digests."""
    found = listing_of(images).glob("/lib/python3*/site-packages/*.dist-info")
    names = (PurePosixPath(path).name.removesuffix(".dist-info") for path in found)
    parts = (name.rpartition("-") for name in names)
    return tuple((name, version) for name, _, version in parts if name)
