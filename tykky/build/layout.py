"""How contents become an install: where they lie, in which box they are made, what its files are.

Recipes have this layout; the classic commands have one of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky import contents
from tykky.build import commands
from tykky.build.box import BuildBox, RealBox
from tykky.build.entering import Entering, as_built, triples
from tykky.recipe import recipe_code
from tykky.store.place import Draft
from tykky.tools.scratch import Scratch

if TYPE_CHECKING:
    from tykky.build.plan import Plan
    from tykky.build.work import Work
    from tykky.store import Record

#: Images as a record has them, the lowest first.
Images = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Offer:
    """The commands that an install offers, sorted.

    ``programs`` are what they run where a folder of links lies over that of the commands, and
    ``libraries`` directories for these; recipes have neither.
    """

    names: tuple[str, ...]
    programs: Mapping[str, str] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()


class Layout:
    """That of recipes: the contents at the place itself, a closed box, nothing else beside."""

    #: Whether there is an image besides a container.
    has_image = True
    #: Whether everybody may read what is in the image, whatever its modes were.
    settles = True
    #: Whether generations are kept until somebody cleans up, and not only the one before.
    keeps_all = True
    #: Whether what is built is a recipe's, which may lie in a repository.
    has_repository = True
    #: Whether it is built by changing the contents that there are.
    changes = False
    #: Whether it is a layer on the images of its base.
    upon = False
    #: What the log says is done.
    verb = "install"

    def scratch(self, path: Path) -> Scratch:
        """The scratch directory of a build at ``path``."""
        return Scratch(path)

    def target(self, plan: Plan) -> Path:
        """Where what is built lies, as it is seen from inside."""
        return plan.prefix

    def box(self, work: Work) -> RealBox:
        """A box in which the contents are made."""
        return work.open(BuildBox)

    def start(self, work: Work) -> None:
        """Before anything is built."""

    def offer(self, work: Work) -> Offer:
        """The commands of the finished contents. Raises ``RecipeError``."""
        plan = work.plan
        return Offer(commands.choose(plan.recipe, work.scratch.top, plan.base))

    def enter(self, work: Work, box: RealBox, offer: Offer) -> Entering:
        """How the finished contents are entered."""
        plan = work.plan
        with recipe_code(plan.recipe, "variables"):
            more = plan.recipe.variables(box)
        with recipe_code(plan.recipe, "activation"):
            changes = plan.recipe.activation(box)
            defaults = plan.recipe.defaults(box)
        entering = as_built(plan.recipe, plan.base, plan.prefix, plan.needs, more, work.config)
        return replace(entering, activation=triples(changes), defaults=triples(defaults))

    def squash_options(self, work: Work) -> Sequence[str]:
        """More words for mksquashfs."""
        return ()

    def with_listing(self, offer: Offer) -> Offer | None:
        """The offer with the command that tells the packages; ``None`` if it has one already."""
        if contents.COMMAND in offer.names:
            return None
        return replace(offer, names=tuple(sorted({*offer.names, contents.COMMAND})))

    def finish(self, work: Work, offer: Offer) -> None:
        """The last touch of the contents, before they are squashed."""

    def fill(self, work: Work, draft: Draft, offer: Offer, images: Images) -> None:
        """Add files to a generation that is being written."""

    def state(self) -> dict[str, Any]:
        """What of itself is known only once the contents are made."""
        return {}

    def failed(self, work: Work) -> None:
        """Before what was built is removed, because something failed."""

    def prove(self, work: Work, box: RealBox) -> None:
        """Try the new generation by its own commands. Raises ``TykkyError``."""
        work.call(box, "prove", "test")

    def amend(self, record: Record) -> Record:
        """Change what a record says of an install of this layout."""
        return record
