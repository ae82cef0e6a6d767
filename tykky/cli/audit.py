"""Check every version and variant of recipes, without building anything; or installs.

For each combination the recipe is loaded and selected, its lock is there and fits, its
steps are planned, what it fetches has a digest, the licences that its lock tells are allowed,
and the modules that it loads are known to Lmod.

With --advisories, not recipes but all installs are looked at: which have packages with known
holes, by the advisories of a directory or ZIP in the OSV format. With --licences: under which
licences their packages are, and what the site's policy says of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tykky import bases, console
from tykky.build import licensing, locking
from tykky.build.box import PlanBox
from tykky.cli.common import Call, Result, flag, option, positional, recipes, selected
from tykky.errors import Exit, LockError, TykkyError
from tykky.inventory.severity import LEVELS
from tykky.lock import Lock
from tykky.publish import modules
from tykky.recipe import guarded, read_all, recipe_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from tykky.config import Config
    from tykky.kinds.stack import Stack

EXAMPLES = """\
  tykky audit                  all recipes
  tykky audit 'python-*'       those whose names match
  tykky audit --json           for programs
  tykky audit --advisories                   all installs, by 'advisories.osv'
  tykky audit python-data --advisories /appl/osv --fail-on high
  tykky audit --licences 'python-*'          by the section 'licences' of the configuration
"""

ARGUMENTS = (
    positional("PATTERN", "a name, or a glob of names; or the spec of installs", "*"),
    option(
        "--advisories",
        metavar="DIR|ZIP",
        nargs="?",
        const="",
        help="look for known holes in installs; default: the setting advisories.osv",
    ),
    option(
        "--fail-on",
        choices=LEVELS[1:],
        help="how bad a hole has to be for exit code 30; default: the setting advisories.fail_on",
    ),
    flag("--vex", help="print the holes as an OpenVEX document, to make statements of"),
    flag("--licences", help="tell the licences of installs; exit 31 if one is denied"),
)


def run(call: Call) -> Result:
    """Visit everything; exit 4 if anything is wrong with recipes, 30 if installs have holes."""
    if call.args.advisories is not None and call.args.licences:
        cause, remedy = "--advisories and --licences are two questions", "ask one after the other"
        raise TykkyError(cause, remedy=remedy, code=Exit.USAGE)
    if call.args.advisories is not None:
        from tykky.cli import holes

        return holes.run(call)
    if call.args.fail_on or call.args.vex:
        cause, remedy = "--fail-on and --vex are about holes", "give --advisories as well"
        raise TykkyError(cause, remedy=remedy, code=Exit.USAGE)
    if call.args.licences:
        from tykky.cli import licences

        return licences.run(call)
    answers: list[dict[str, str]] = []

    told: set[str] = set()

    def add_wrong(what: str, error: TykkyError) -> None:
        answers.append({"spec": what, "problem": error.cause, "unlocked": ""})
        # What is wrong with all choices is told once.
        same = f"{error.where}: {error.cause}"
        if not call.args.json and same not in told:
            told.add(same)
            console.note(f"{what}:")
            console.error(error)

    def ask(text: str) -> None:
        if text not in told:
            told.add(text)
            console.warn(text)

    for name in recipes(call.repos, call.args.pattern):
        try:
            chosen = selected(call.repos, name)
        except TykkyError as error:
            add_wrong(name, error)
            continue
        for recipe in chosen:
            try:
                why = visit(recipe, call.config, ask)
                answers.append({"spec": str(recipe.spec), "problem": "", "unlocked": why})
            except TykkyError as error:
                add_wrong(str(recipe.spec), error)
    unlocked = sum(bool(answer["unlocked"]) for answer in answers)
    wrong = sum(bool(answer["problem"]) for answer in answers)
    without = f", {unlocked} without a lock" if unlocked else ""
    said = f"audited {console.plural(len(answers), 'selection')}, {wrong} of them wrong{without}"
    return Result(answers, lambda: console.note(said), Exit.RECIPE if wrong else Exit.OK)


def visit(recipe: Stack, config: Config, ask: Callable[[str], None]) -> str:
    """Visit one selection; why it has no lock, if the recipe says so itself."""
    read_all(recipe)
    lock, why = locking.fitting_lock(recipe, config, bases.arch()), ""
    if lock is None:
        why = guarded(recipe, "unlocked")
        if not why:
            cause = f"{recipe.spec} has no lock for {bases.arch()}"
            raise LockError(cause, remedy=f"make it: tykky lock {recipe.spec}")
        # A lock to plan with that has nothing in it.
        with recipe_code(recipe, "packages"):
            asked = recipe.asked(config, bases.arch())
        lock = Lock(recipe.name, str(recipe.version), recipe.suffix, bases.arch(), asked, ())
    licensing.check_lock(lock, recipe.name, config, ask)
    box = PlanBox(config.root / "audit", recipe.directory, bases.host(), lock, config)
    box.strict = True
    for method in ("assemble", "equip", "finish", "seal", "prove", "test"):
        with recipe_code(recipe, method):
            getattr(recipe, method)(box)
    modules.check_loads(recipe.name, recipe.loads)
    return str(why)
