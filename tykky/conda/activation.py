"""What ``conda activate`` would change in the environment, found out once by really doing it.

The variables of conda itself, those of packages (``etc/conda/env_vars.d``) and of the environment
(``conda-meta/state``) are set, then the scripts of packages (``etc/conda/activate.d``) are run by
bash, in conda's order. That is done three times: for two users on two hosts, to see what must not
be frozen, and once with all variables set beforehand, to see whether a script sets, extends, or
only provides a value. So a command of the stack needs no shell to be in the environment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tykky.console import plural
from tykky.errors import StepError
from tykky.files import parse_json, read_within
from tykky.runtime.base import EnvAction, EnvChange

if TYPE_CHECKING:
    from tykky.build.box import RealBox

Environment = dict[str, str]

#: Names in a script: assigned, unset, or looked at.
_MENTIONED = re.compile(r"\$\{?([A-Za-z_]\w*)|\b([A-Za-z_]\w*)\+?=|\bunset\s+([A-Za-z_]\w*)")
#: What bash sets, or what is different for reasons of its own.
_OURS = frozenset({"_", "PWD", "OLDPWD", "SHLVL", "PATH", "BASH_ENV", "PS1"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: What no variable could hold, or no launch file.
_ODD = re.compile("[\0\n\ud800-\udfff]")
#: Stands in conda's files for a variable that the user has taken back.
_UNSET = "***unset***"
#: Around the name of a variable that a value refers to.
_OPEN, _CLOSE = "\x01", "\x02"

_SCRIPT = r"""
hostname() { printf '%s\n' "$HOSTNAME"; }
whoami() { printf '%s\n' "$USER"; }
tykky_out=$1
tykky_cat=$(command -v cat)
shift
for tykky_script in "$@"; do
    printf '%s\n' "$tykky_script" > "$tykky_out.at"
    . "$tykky_script"
done
"$tykky_cat" /proc/self/environ > "$tykky_out"
"""


@dataclass(frozen=True)
class Person:
    """Somebody on some host; what is theirs has to be found again in values."""

    letter: str
    home: str

    @property
    def variables(self) -> Environment:
        """What their environment has of them."""
        return {
            "HOME": self.home,
            "USER": f"tykky-user-{self.letter}",
            "LOGNAME": f"tykky-user-{self.letter}",
            "HOSTNAME": f"tykky-host-{self.letter}",
            "TMPDIR": f"/tmp/tykky-tmpdir-{self.letter}",
        }

    def template(self, value: str) -> str:
        """The value with a reference for everything in it that is this person's."""
        for name in ("HOME", "TMPDIR", "USER", "HOSTNAME"):
            value = value.replace(self.variables[name], f"{_OPEN}{name}{_CLOSE}")
        return value


def snapshot(box: RealBox) -> tuple[EnvChange, ...]:
    """The changes that activating the environment makes, as it is now.

    Raises ``StepError`` naming the script that ends bash.
    """
    # The box may have been activated already, for the commands of a recipe.
    kept, box.variables = box.variables, {}
    try:
        return tuple(_snapshot(box))
    finally:
        box.variables = kept


def _snapshot(box: RealBox) -> Iterator[EnvChange]:
    prefix, root = str(box.prefix), box.real(".")
    own = {
        "CONDA_PREFIX": prefix,
        "CONDA_DEFAULT_ENV": prefix,
        "CONDA_SHLVL": "1",
        **set_by_files(root),
    }
    yield EnvChange(EnvAction.INSERT, "PATH", f"{prefix}/bin")
    scripts = sorted((root / "etc/conda/activate.d").glob("*.sh"))
    if not scripts:
        yield from (EnvChange(EnvAction.SET, *item) for item in own.items())
        return
    inside = [str(box.prefix / script.relative_to(root)) for script in scripts]
    box.say(plural(len(scripts), "activation script"))
    one, other = (Person(letter, str(box.scratch.home / letter)) for letter in "ab")
    for person in (one, other):
        Path(person.home).mkdir(exist_ok=True)

    def activated(person: Person, preset: Environment) -> Environment:
        return _run(box, {**person.variables, **preset, **own}, inside)

    first, second = activated(one, {}), activated(other, {})
    texts = (read_within(root, script).decode(errors="replace") for script in scripts)
    mentioned = {name for text in texts for each in _MENTIONED.findall(text) for name in each}
    # Neither what a build sets anyway nor conda's own is a script's to extend.
    usual = {*box.environment(), *one.variables, *_OURS} - {*own}
    names = ({*first} | mentioned) - usual - {*own, ""}
    third = activated(one, {name: was(name) for name in names})
    # The first last, because each is put in front.
    known = ["", *box.environment()["PATH"].split(":")]
    for folder in reversed(first["PATH"].split(":")):
        if folder not in known:
            yield EnvChange(EnvAction.INSERT, "PATH", folder)
    yield from compare(
        {name: one.template(value) for name, value in first.items() if name not in usual},
        {name: other.template(value) for name, value in second.items()},
        {name: one.template(value) for name, value in third.items() if name not in usual},
        names,
        lambda name: box.log.write(f"# {name} is different each time; it is left out\n".encode()),
    )


def applied(changes: Iterable[EnvChange], environment: Mapping[str, str]) -> Environment:
    """An environment after changes, as the launcher makes them."""
    after = dict(environment)
    for change in changes:
        there = after.get(change.name, "")
        if change.action is EnvAction.UNSET:
            after.pop(change.name, None)
        elif change.action is EnvAction.SET:
            after[change.name] = change.value
        elif change.action in (EnvAction.EXPAND, EnvAction.DEFAULT):
            if not there or change.action is EnvAction.EXPAND:
                after[change.name] = _expanded(change.value, after)
        elif change.value not in there.split(":"):
            items = (
                [there, change.value]
                if change.action is EnvAction.APPEND
                else [change.value, there]
            )
            after[change.name] = ":".join(filter(None, items))
    return after


def _expanded(template: str, environment: Mapping[str, str]) -> str:
    return re.sub(
        r"\$\$|\$\{([^}]*)\}",
        lambda found: environment.get(found[1], "") if found[1] is not None else "$",
        template,
    )


def was(name: str) -> str:
    """The value that a variable has beforehand in the third run."""
    return f"/tykky/was/{name}/"


def set_by_files(root: Path) -> Environment:
    """What packages and the environment itself want to be set, in the order of precedence."""
    found: Environment = {}
    for path in sorted((root / "etc/conda/env_vars.d").glob("*.json")):
        found |= _variables(root, path)
    state = root / "conda-meta/state"
    if state.exists():
        found |= _variables(root, state, "env_vars")
    return {name: value for name, value in found.items() if value != _UNSET}


def _variables(root: Path, path: Path, key: str = "") -> Environment:
    try:
        data = parse_json(read_within(root, path))
    except ValueError as error:
        raise StepError(
            f"{path.name} in the environment, which sets variables, is no JSON: {error}",
            remedy="it came with a package: install another version of that",
        ) from None
    if key and isinstance(data, dict):
        data = data.get(key)
    pairs = ((str(k), str(v)) for k, v in (data if isinstance(data, dict) else {}).items())
    return {name: text for name, text in pairs if _NAME.fullmatch(name) and not _ODD.search(text)}


def _run(box: RealBox, env: Environment, scripts: list[str]) -> Environment:
    """The environment after the scripts, run by bash in the box."""
    runner, out = ".tykky-activate.sh", ".tykky-environ"
    box.write(runner, _SCRIPT)
    real, at = box.real(out), box.real(f"{out}.at")
    try:
        line = ["/bin/bash", "--noprofile", "--norc", str(box.prefix / runner)]
        problem: StepError | None = None
        try:
            box.run([*line, str(box.prefix / out), *scripts], env=env)
        except StepError as error:
            problem = error
        if not real.exists():
            if problem is not None and not at.exists():
                raise problem  # bash itself could not run
            said = read_within(box.real("."), at).decode(errors="replace")
            last = Path(said.strip()).name
            raise StepError(
                f"the activation script {last} of a package ends the shell",
                remedy="remove it in the recipe's finish step, and set what it sets in 'env'",
                details=problem.details if problem else (),
            )
        items = read_within(box.real("."), real).split(b"\0")
    finally:
        for path in (box.real(runner), real, at):
            path.unlink(missing_ok=True)
    pairs = (item.decode(errors="surrogateescape").partition("=") for item in items if item)
    return {name: value for name, _, value in pairs}


def compare(
    first: Mapping[str, str],
    second: Mapping[str, str],
    preset: Mapping[str, str],
    names: Iterable[str],
    drop: Callable[[str], object] = lambda _: None,
) -> Iterator[EnvChange]:
    """The changes that explain three environments after activation.

    ``first`` and ``second`` are two people's, with references in place of what is theirs; before
    ``preset``, the variables with these ``names`` were set to what :func:`was` gives. ``drop`` is
    told the names of those that differ for no known reason.
    """
    for name in sorted({*first, *preset, *names}):
        if not _NAME.fullmatch(name):
            continue  # a function of bash, say
        value, then = first.get(name), preset.get(name)
        if value != second.get(name) or any(char in "\n\r" for char in f"{value}{then}"):
            drop(name)
        else:
            yield from _change(name, value, then)


def _change(name: str, value: str | None, then: str | None) -> Iterator[EnvChange]:
    old = was(name)
    if then is None:
        # It was taken away; or a script sets it only where it was not set.
        yield EnvChange(EnvAction.UNSET, name) if value is None else _set(name, value)
    elif old in then and then != old:
        yield from _extended(name, value, then, old)
    elif value is not None and then == old:
        yield EnvChange(EnvAction.DEFAULT, name, _reference(value))
    elif value is not None:
        yield _set(name, value)
    # Otherwise it is untouched, or a copy of another variable for the way back.


def _extended(name: str, value: str | None, then: str, old: str) -> Iterator[EnvChange]:
    """A value that has the earlier one in it, as an item of a list or in another way."""
    before, _, after = then.partition(old)
    is_list = before[-1:] in ("", ":") and after[:1] in ("", ":") and _OPEN not in before + after
    if not is_list:
        template = then.replace(old, f"{_OPEN}{name}{_CLOSE}")
        yield EnvChange(EnvAction.EXPAND, name, _reference(template))
        return
    before, after = before.removesuffix(":"), after.removeprefix(":")
    start = value.removeprefix(before).removeprefix(":") if value is not None else ""
    default = start.removesuffix(after).removesuffix(":")
    if default:
        yield EnvChange(EnvAction.DEFAULT, name, _reference(default))
    if before:
        yield EnvChange(EnvAction.PREPEND, name, before)
    if after:
        yield EnvChange(EnvAction.APPEND, name, after)


def _set(name: str, value: str) -> EnvChange:
    is_plain = _OPEN not in value
    action = EnvAction.SET if is_plain else EnvAction.EXPAND
    return EnvChange(action, name, value if is_plain else _reference(value))


def _reference(value: str) -> str:
    """The value as a template: ``${NAME}`` is replaced when a command starts, ``$$`` is ``$``."""
    return value.replace("$", "$$").replace(_OPEN, "${").replace(_CLOSE, "}")
