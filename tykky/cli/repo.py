"""Say where recipes come from: directories, and repositories that git fetches at a commit.

Of several recipes with one name, that of the first repository counts. A branch or a tag of git is
resolved once, and its commit is kept in the configuration: the same recipes for everybody until
'tykky repo update' moves on. The recipes that come with Tykky are always the last.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tykky import console
from tykky.cli.common import Action, Call, Result, flag, option, positional
from tykky.config import Config
from tykky.config.remotes import PREFIX, Remote, address_problem
from tykky.errors import ConfigError, Exit, RecipeError, TykkyError, did_you_mean
from tykky.repos import loading
from tykky.resources import resource

EXAMPLES = """\
  tykky repo list                                  in order, and what shadows what
  tykky repo add ~/recipes                         a directory of your own, before all others
  tykky repo add https://git.example.org/hpc/recipes.git --commit v2 --last
  tykky repo add /appl/recipes --site              for everybody
  tykky repo update --dry-run                      which recipes came, went and changed
  tykky repo remove recipes
"""


def _name(path: Path, config: Config) -> str:
    """How people call a repository."""
    if path in config.remotes:
        return config.remotes[path].name
    return "builtin" if path == resource("repo") else path.name


def _recipes(path: Path) -> list[str]:
    return sorted(filter(loading.is_name, loading.recipe_folders(path)))


def _list(call: Call) -> Result:
    config, rows, first = call.config, [], dict[str, str]()
    for path in config.repos:
        remote, problem, names = config.remotes.get(path), "", list[str]()
        try:
            names = _recipes(path)
        except TykkyError as error:
            problem = "not fetched yet" if remote and not path.exists() else error.cause
        name = _name(path, config)
        shadowed = {each: first[each] for each in names if each in first}
        first = {**dict.fromkeys(names, name), **first}
        row: dict[str, Any] = {"name": name, "from": remote.address if remote else str(path)}
        row |= {"commit": remote.commit if remote else "", "ref": remote.ref if remote else ""}
        row |= {"path": path, "recipes": names, "shadowed": shadowed, "problem": problem}
        rows.append(row)

    def show() -> None:
        cells = [
            (
                row["name"],
                row["problem"] or str(len(row["recipes"])),
                row["commit"][:12] + (f" ({row['ref']})" if row["ref"] else ""),
                row["from"],
            )
            for row in rows
        ]
        console.table(cells, ("NAME", "RECIPES", "COMMIT", "FROM"))
        for row in rows:
            for recipe, by in row["shadowed"].items():
                console.say(f"{recipe} of {row['name']} is shadowed by that of {by}")
        origin = config.origin("repos")
        if origin.scope in ("environment", "flags"):
            console.note(f"this order is set by {origin.place}")

    return Result(rows, show)


def _add(call: Call) -> Result:
    what, config = call.args.what, call.config
    if call.args.first and call.args.last:
        remedy = "give one of the two"
        raise TykkyError("--first and --last are two places", remedy=remedy, code=Exit.USAGE)
    if not what.strip():
        remedy = "give a directory, or the address of a repository of git"
        raise TykkyError("no repository is named", remedy=remedy, code=Exit.USAGE)
    item: Path | Remote
    if _is_git(what, call.args.commit or call.args.path):
        item = _fetched(_address(what), call.args.commit, call.args.path, config)
        folder = item.folder(config.cache_dir)
    else:
        item = folder = _full(what)
        if not folder.is_dir():
            cause = f"there is no directory {folder}"
            remedy = "make it, or give the address of a repository of git"
            raise ConfigError(cause, remedy=remedy, code=Exit.NOT_FOUND)
    names = _recipes(folder)
    for name in names:
        loading.check_trusted(folder / name / loading.RECIPE_FILE)
    if not names:
        console.warn(f"{folder} has no folder with a {loading.RECIPE_FILE} yet")

    def change(own: Sequence[str]) -> list[str]:
        others = [text for text in own if not _is_same(text, item, _scope(call))]
        new = str(item).replace("$", "$$")  # as the configuration has it
        return [*others, new] if call.args.last else [new, *others]

    path = _write(call, change)
    now = Config.load()
    answer: dict[str, Any] = {"added": str(item), "file": path, "recipes": names}
    place = now.repos.index(folder) if folder in now.repos else 0
    answer |= {"shadows": _shared(now, now.repos[place + 1 :], names)}
    answer |= {"shadowed": _shared(now, now.repos[:place], names)}

    def show() -> None:
        console.note(f"added {item} with {console.plural(len(names), 'recipe')} to {path}")
        for word, verb in (("shadows", "shadows"), ("shadowed", "is shadowed by")):
            for name, other in answer[word].items():
                console.note(f"  its {name} {verb} that of {other}")
        _tell_of_winner(now, folder)

    return Result(answer, show)


def _is_git(what: str, is_said: str | None) -> bool:
    """Whether git has to fetch it: an address, or a path where that is said or nothing else."""
    if not address_problem(what) and not what.startswith("/"):
        return True
    if "://" in what or (not Path(what).expanduser().exists() and ":" in what):
        raise ConfigError(
            f"{what} {address_problem(what)}", remedy="'tykky repo add -h' has examples"
        )
    folder = Path(what).expanduser()
    return is_said is not None or ((folder / "HEAD").is_file() and (folder / "objects").is_dir())


def _full(word: str) -> Path:
    return Path(os.path.normpath(Path(word).expanduser().absolute()))


def _address(what: str) -> str:
    return str(_full(what)) if address_problem(what) else what


def _fetched(address: str, wanted: str | None, path: str | None, config: Config) -> Remote:
    """A repository at the commit that a word means, whose recipes are there."""
    from tykky.tools import checkouts
    from tykky.tools.git import Mirror

    console.note(f"asking {address}")  # no step: git may ask for a password
    commit, ref = Mirror(address, config.cache_dir).resolve(wanted or "")
    remote = Remote(address, commit, ref, (path or "").strip("/"))
    try:
        remote = Remote.parse(str(remote))
    except ValueError as error:
        raise ConfigError(f"{remote} {error}", remedy="give another --path") from None
    checkouts.provide(remote, config.cache_dir, 600)
    return remote


def _is_same(text: str, item: Path | Remote, scope: str) -> bool:
    """Whether an entry of the list is this repository, perhaps at another commit."""
    if not isinstance(item, Remote):
        return _path(text, scope) == item
    known = _parsed(text)
    return known is not None and (known.address, known.path) == (item.address, item.path)


def _path(text: str, scope: str) -> Path | None:
    """The directory that an entry of a scope's file means."""
    from tykky.config.scopes import scope_files

    if text.startswith((PREFIX, "{")):
        return None
    beside = scope_files(os.environ)[scope].parent
    expanded = os.path.expandvars(text.replace("$$", "\0")).replace("\0", "$")
    return _full(str(beside / Path(expanded).expanduser()))


def _parsed(text: str) -> Remote | None:
    try:
        return Remote.parse(text.replace("$$", "$")) if text.startswith(PREFIX) else None
    except ValueError:
        return None


def _shared(config: Config, paths: Sequence[Path], names: Sequence[str]) -> dict[str, str]:
    """Which recipes have the name of one in these repositories, the first that has it."""
    found: dict[str, str] = {}
    for path in paths:
        for name in names:
            if (path / name / loading.RECIPE_FILE).is_file():
                found.setdefault(name, _name(path, config))
    return found


def _tell_of_winner(config: Config, folder: Path) -> None:
    origin = config.origin("repos")
    if folder not in config.repos:
        console.warn(f"{origin.place} still wins, which does not have it")
        console.note("  '{inherited}' in a list stands for what the scopes before have")


def _write(call: Call, change: Any) -> Path:
    from tykky.config.edit import change_list

    return change_list("repos", _scope(call), change)


def _scope(call: Call) -> str:
    return "site" if call.args.site else "user"


def _own(call: Call) -> list[str]:
    """What the file of the scope names, as it is written."""
    chain = call.config.why("repos")
    return [text for each in chain if each.scope == _scope(call) for text in each.value]


def _named(call: Call, word: str) -> str:
    """The entry of the scope's file that a name, a path or an address means."""
    own = [text for text in _own(call) if not text.startswith("{")]
    called = {text: r.name if (r := _parsed(text)) else Path(text).name for text in own}
    full = _full(word)
    exact = [
        text
        for text in own
        if text == word
        or _path(text, _scope(call)) == full
        or ((remote := _parsed(text)) and remote.address == word)
    ]
    named = [text for text in own if called[text] == word]
    # What happens to lie in this directory by that name is not meant more than another.
    found = exact if exact and "/" in word else [*dict.fromkeys((*exact, *named))]
    if len(found) == 1:
        return found[0]
    if found:
        cause, remedy = f"'{word}' is the name of {len(found)} repositories", "give the address"
        raise ConfigError(cause, remedy=remedy, details=tuple(found))
    where = {_name(path, call.config): path for path in call.config.repos}
    remedy = did_you_mean(word, list(called.values())) or "'tykky repo list' shows what there is"
    if "builtin" in (word, called.get(word)) or full == resource("repo"):
        remedy = "leave them out: 'tykky config set builtin_repo false'"
    elif word in where or full in call.config.repos:
        remedy = "it is set elsewhere: 'tykky config why repos'; the site's with --site"
    scope = _scope(call)
    raise ConfigError(
        f"the {scope} configuration names no repository '{word}'",
        remedy=remedy,
        code=Exit.NOT_FOUND,
    )


def _remove(call: Call) -> Result:
    text = _named(call, call.args.name)
    remote = _parsed(text)
    before = call.config
    path = _write(call, lambda own: [each for each in own if each != text])
    folder = remote.folder(before.cache_dir) if remote else _path(text, _scope(call)) or Path()
    made = sorted(set(_made_from(call, folder, remote)))

    def show() -> None:
        console.note(f"removed {text} from {path}")
        if made:
            console.note(f"  made from it, and not changed by that: {', '.join(made)}")
            console.note("  but 'tykky update' wants their recipes, from another repository then")
        if remote and folder.is_dir():
            rm = f"chmod -R u+w {shlex.quote(str(folder))}; rm -r {shlex.quote(str(folder))}"
            console.note(f"  what was fetched of it stays until you say: {rm}")
        if folder in Config.load().repos:
            console.warn(f"{Config.load().origin('repos').place} still names it")

    return Result({"removed": text, "file": path, "made": made}, show)


def _made_from(call: Call, folder: Path, remote: Remote | None) -> Iterator[str]:
    """The installs that were made from the recipes of a repository."""
    from tykky.cli.common import records_of

    try:
        names = _recipes(folder)
    except RecipeError:
        return  # it is not there any more, and neither can it be told what it had
    for store in call.stores:
        for record in records_of(e for name in names for e in store.entries(name)):
            file = Path(record.recipe.get("file", "/"))
            if file.parents[1:2] == [folder] or (
                remote and record.repository.get("remote") == remote.address
            ):
                yield record.module


def _update(call: Call) -> Result:
    from tykky.tools import checkouts

    names, config = call.args.name, call.config
    if call.args.commit and len(names) != 1:
        remedy = "name the one that is to go to it"
        raise TykkyError("--commit is for one repository", remedy=remedy, code=Exit.USAGE)
    texts = [_named(call, name) for name in names] or [t for t in _own(call) if _parsed(t)]
    answers = []
    for text in texts:
        old = _parsed(text)
        if old is None:
            cause = f"{text} is a directory, whose recipes are what they are"
            raise ConfigError(cause, remedy="update it as it came about, with git perhaps")
        new = _fetched(old.address, call.args.commit or old.ref, old.path, config)
        changes = checkouts.compare(old, new, config.cache_dir)
        answer: dict[str, Any] = {"name": old.name, "from": old.address, "before": old.commit}
        answer |= {"after": new.commit, "added": changes.added, "removed": changes.removed}
        answers.append(answer | {"changed": changes.changed})
        if old.commit == new.commit and old.ref == new.ref:
            console.note(f"{old.name} is at {new.ref or 'its newest commit'}, {new.commit[:12]}")
            continue
        console.note(f"{old.name} {old.commit[:12]} -> {new.commit[:12]}")
        for line in changes.lines():
            console.note(f"    {line}")
        if not any((changes.added, changes.removed, changes.changed)):
            console.note("    its recipes are the same")
        if not call.args.dry_run:
            kept = replace(new, ref=new.ref or old.ref)
            swap = {text: str(kept)}
            _write(call, lambda own, swap=swap: [swap.get(each, each) for each in own])
    if not texts:
        console.note(f"the {_scope(call)} configuration names no repository of git")
    return Result(answers)


_SITE = flag("--site", help="change the site's configuration, for everybody")
_NAME = "its name, path or address, as 'tykky repo list' has it"
ACTIONS = {
    "list": Action(_list, "list the repositories in order, and what shadows what"),
    "add": Action(
        _add,
        "add a directory, or a repository of git at a commit",
        (
            positional("WHAT", "a directory, or the address of a repository of git"),
            option(
                "--commit",
                metavar="REF",
                help="a commit, branch or tag of git (default: its default branch)",
            ),
            option("--path", metavar="FOLDER", help="the folder of the repository with recipes"),
            flag("--first", help="before all others, which is the default"),
            flag("--last", help="behind all others but those that come with Tykky"),
            _SITE,
        ),
        "Add a directory with recipes, or a repository that your git fetches. What was added "
        "already moves to its new place, and to another commit.",
    ),
    "update": Action(
        _update,
        "move repositories of git on, and say what changed",
        (
            positional("NAME", f"{_NAME}; default: all of git", "*"),
            option("--commit", metavar="REF", help="the commit, branch or tag to go to"),
            flag("--dry-run", help="only say what would change"),
            _SITE,
        ),
        "Move on to the newest commit of the branch or tag that a repository was added with, or of "
        "its default branch. What is installed stays as it is.",
    ),
    "remove": Action(
        _remove,
        "take a repository out of the configuration",
        (positional("NAME", _NAME), _SITE),
        "Take a repository out of the configuration. Nothing is deleted: what was made from its "
        "recipes works on.",
    ),
}
