"""The layout of what is one layer over the images of its base, at the path of that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.bases import StackBase
from tykky.build import commands
from tykky.build.box import RealBox
from tykky.build.entering import Entering
from tykky.build.layout import Layout, Offer
from tykky.contents import COMMAND
from tykky.tools.layers import is_whiteout

if TYPE_CHECKING:
    from tykky.build.plan import Plan
    from tykky.build.work import Work


class Upon(Layout):
    """Contents that lie in those of the base: commands are at its path, and its own are offered."""

    upon = True

    def target(self, plan: Plan) -> Path:
        """Where the base lies."""
        return Path(plan.needs[0].prefix)

    def box(self, work: Work) -> RealBox:
        """A box on what the base is on: all of the base is in the scratch directory."""
        plan = work.plan
        below = plan.base.below if isinstance(plan.base, StackBase) else plan.base
        # The layout goes by what is needed, the box need not enter it.
        box = super().box(replace(work, plan=replace(plan, base=below)))
        box.nests = False
        return box

    def offer(self, work: Work) -> Offer:
        """The commands of the base, and all programs that came."""
        upper, base = work.scratch.upper, work.plan.base
        assert upper is not None
        there = {*commands.programs(work.scratch.top / "bin")}
        came = {path.name for path in upper.glob("bin/*") if not is_whiteout(path.lstat())}
        known = set(base.commands) if isinstance(base, StackBase) else set()
        return Offer(tuple(sorted(there & (came | known) - {COMMAND})))

    def enter(self, work: Work, box: RealBox, offer: Offer) -> Entering:
        """The commands are where the base lies."""
        return replace(super().enter(work, box, offer), mount_at=str(self.target(work.plan)))
