"""What ``install`` takes from registries instead of building it: the same build digest."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tykky import console
from tykky.build.locking import has_same_inputs
from tykky.errors import TykkyError
from tykky.exchange.artifact import build_tag
from tykky.exchange.pulling import Fetched, Found, Puller, find, refused
from tykky.exchange.registries import Registry
from tykky.exchange.sources import Remote
from tykky.fetch import Say

if TYPE_CHECKING:
    from tykky.build.pipeline import Publisher
    from tykky.build.plan import Plan
    from tykky.config import Config
    from tykky.store import Store


@dataclass
class Taker:
    """Takes stacks from the configured registries; each is asked once for each stack.

    What cannot be had, or may not, is told, and built.
    """

    puller: Puller
    files: Fetched | None = None
    open: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def of(cls, config: Config, store: Store, publisher: Publisher) -> Taker | None:
        """One for the configured registries, if there are any."""
        if not config.registries:
            return None
        sources = [Remote(each, config) for each in Registry.configured(config)]
        return cls(Puller(sources, config, store, publisher))

    def find(self, plan: Plan) -> bool:
        """Fetch what has the build digest of a plan, if a registry has it."""
        puller, tag = self.puller, build_tag(plan.build)
        for source in puller.sources:
            try:
                found = find([source], plan.recipe.name, tag, puller.config)
                if found is None or found.record.build != plan.build:
                    continue
                if not has_same_inputs(found.record):
                    continue  # it was built from files that are others here
                puller.check(found.record)
                with console.step("fetch", found.title) as line:
                    self.files = self._fetched(found, plan, line.update)
                    moved, there = map(console.size, (self.files.bytes, self.files.there))
                    line.update(f"{found.title}: {moved} fetched, {there} there already")
                return True
            except TykkyError as error:
                if not refused(error):
                    raise
                console.warn(f"{error.cause}; so it is not taken from {source.title}")
        return False

    def _fetched(self, found: Found, plan: Plan, say: Say) -> Fetched:
        return self.open.enter_context(self.puller.fetched(found, plan.place, say))

    def take(self, plan: Plan, *, held: bool) -> bool:
        """Lay what was fetched; hold the claim of the place, which ``held`` tells of."""
        assert self.files is not None
        try:
            with console.step("lay", self.files.found.title) as line:
                record = self.files.lay(line.update, held=held)
                line.update(record.title)
            self.files.forget()
            return True
        except TykkyError as error:
            if not refused(error):
                raise
            console.warn(f"{error.cause}; so it is built")
            return False
        finally:
            self.open.close()
