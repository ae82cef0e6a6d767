"""Which pulled images nothing refers to any more, and deleting these.

An image is used if an install runs on it (also one in the trash, whose programs may go on), if the
configuration names it, or if it was pulled or built upon less than a day ago: a build may be under
way that no record tells of yet.

Public names: ``unused``, ``delete``, ``is_own``.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bases import cache
from tykky.bases.base import arch
from tykky.bases.cache import Pulled
from tykky.bases.reference import resolve
from tykky.errors import TykkyError

if TYPE_CHECKING:
    from tykky.config import Config
    from tykky.store import Store

_DAY = 86400


def is_own(config: Config) -> bool:
    """Whether the images are those of this store: others may share what a site has configured."""
    return config.origin("bases_dir").scope == "defaults"


def unused(config: Config, store: Store, older_than: float) -> list[Pulled]:
    """The images that nothing refers to, and nothing has used for so many seconds.

    Raises ``StoreError`` if an install cannot be read, since nobody knows what it runs on.
    """
    digests, files = set(), set()
    for record in store.records():
        digests.add(record.base.get("digest", ""))
        files.add(str(record.launch.get("root") or ""))
    references = set()
    for name in (config.base, "auto", *dict(config.bases)):
        with contextlib.suppress(TykkyError):  # an alias that leads nowhere uses nothing
            references.add(str(resolve(name, config.bases, Path("/"))))
    return [
        pulled
        for pulled in cache.all_pulled(config)
        if pulled.digest not in digests
        and str(cache.file_of(config, pulled)) not in files | references
        and not (pulled.arch == arch() and references & {*pulled.references})
        and _age(config, pulled) >= max(older_than, _DAY)
    ]


def _age(config: Config, pulled: Pulled) -> float:
    return time.time() - cache.used_at(config, pulled)


def delete(config: Config, pulled: Pulled, older_than: float) -> int:
    """Delete an image unless it has come into use meanwhile; how many bytes that freed."""
    with cache.claim(config, pulled.digest):
        try:
            if _age(config, pulled) < max(older_than, _DAY):
                return 0
        except FileNotFoundError:
            return 0
        cache.remove(config, pulled)
    return pulled.bytes
