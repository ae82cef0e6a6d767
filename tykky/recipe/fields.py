"""The fields of a kind, and values that fit them.

A field is a public, annotated class attribute of a kind. What a recipe gives is converted
where the meaning is clear (one string for a tuple of strings, a number for an environment
variable) and refused where it is not (a number for a version, a set where order counts).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from tykky import jobs
from tykky.errors import TykkyError, did_you_mean
from tykky.recipe.choices import Version
from tykky.recipe.source import kind_of
from tykky.spec import Spec, parse_one


class WrongValue(Exception):
    """A value that does not fit its field; ``path`` leads to the part that is wrong."""

    def __init__(self, cause: str, remedy: str, path: tuple[int | str, ...] = ()) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy
        self.path = path


def fields(cls: type) -> Mapping[str, Any]:
    """The fields that a recipe class may set: their names and annotations."""
    return _kind_fields(kind_of(cls))


@cache
def _kind_fields(kind: type) -> Mapping[str, Any]:
    return {
        name: hint
        for name, hint in get_type_hints(kind).items()
        if not name.startswith("_") and ClassVar not in (hint, get_origin(hint))
    }


def convert(field: str, value: object, annotation: Any) -> Any:
    """The value as its field has it; raises :class:`WrongValue`."""
    converted = _convert(value, annotation, field)
    if field in _RULES:
        _RULES[field](converted)
    return converted


def _convert(value: object, wanted: Any, field: str) -> Any:
    origin = get_origin(wanted)
    if wanted is Any or wanted is object:
        return value
    if origin is Literal:
        return _one_of(value, get_args(wanted), field)
    if origin in (Union, UnionType):
        return _any_of(value, wanted, field)
    if origin is tuple:
        return _tuple(value, get_args(wanted)[0], field)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(value, get_args(wanted)[1], field)
    return _scalar(value, wanted, field)


def _scalar(value: object, wanted: type, field: str) -> Any:
    if wanted is Version and isinstance(value, str):
        return value if isinstance(value, Version) else _made(Version, value)
    if wanted is Spec and isinstance(value, str):
        return _made(parse_one, value)
    if isinstance(value, str) and (strange := no_text(value)):
        raise WrongValue(f"'{field}' has {strange} in it", "write it in plain text")
    if wanted is Path and isinstance(value, str):
        return Path(value)
    if isinstance(value, wanted) and not (wanted is int and isinstance(value, bool)):
        return value
    if wanted in (str, Version) and _is_number(value):
        # Not the value itself, which has lost its zeros: 26.10 is 26.1 by now.
        raise WrongValue(f"'{field}' wants a string, and this is a number", "put quotes around it")
    raise _unfit(value, wanted, field)


def no_text(value: str) -> str:
    """What a string has in it that no file, module or command line can hold; empty if nothing."""
    found = re.search("[\0-\x08\x0b-\x1f\x7f\ud800-\udfff]", value)
    if found is None:
        return ""
    half = "half of a character" if found[0] >= "\ud800" else "a control character"
    return f"{half}, {found[0]!a},"


def _made(make: Callable[[str], Any], text: str) -> Any:
    try:
        return make(text)
    except TykkyError as error:
        raise WrongValue(error.cause, error.remedy) from None


def _one_of(value: object, words: tuple[Any, ...], field: str) -> Any:
    if value in words:
        return value
    choice = ", ".join(map(repr, words))
    hint = did_you_mean(str(value), list(map(str, words))) or "choose one of them"
    raise WrongValue(f"'{field}' is one of {choice}, and not {value!r}", hint)


def _any_of(value: object, wanted: Any, field: str) -> Any:
    nested: WrongValue | None = None
    for member in get_args(wanted):
        try:
            return _convert(value, member, field)
        except WrongValue as error:
            if error.path:  # the container fits: its wrong part is the better message
                nested = error
    raise nested or _unfit(value, wanted, field)


def _tuple(value: object, item: Any, field: str) -> tuple[Any, ...]:
    if isinstance(value, str) and not value.strip():
        raise WrongValue(f"'{field}' is an empty string", "for nothing at all, write ()")
    if isinstance(value, str) or (isinstance(value, Spec) and item is Spec):
        value = (value,)
    elif isinstance(value, set | frozenset):
        remedy = "write a tuple: parentheses, not braces"
        raise WrongValue(f"'{field}' is a set, which has no order", remedy)
    elif not isinstance(value, list | tuple | Iterator):
        if _is_number(value) and item in (str, Version):
            return (_scalar(value, item, field),)
        raise _unfit(value, tuple[item, ...], field)
    found = tuple(_part(part, item, field, index) for index, part in enumerate(value))
    for index, part in enumerate(found):
        if isinstance(part, str) and "\n" in part:
            cause = f"'{field}' has a line break in one of its strings"
            raise WrongValue(cause, "write a string for each line", (index,))
    return found


def _mapping(value: object, item: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _unfit(value, Mapping[str, item], field)
    converted = {}
    for key, part in value.items():
        if not isinstance(key, str):
            raise WrongValue(f"'{field}' has a key {key!r} that is not a string", "quote it")
        if item is str and _is_number(part):
            part = str(part)
        converted[key] = _part(part, item, field, key)
    return converted


def _part(value: object, wanted: Any, field: str, step: int | str) -> Any:
    """A part of a value; an error leads to it by way of ``step``."""
    try:
        return _convert(value, wanted, field)
    except WrongValue as error:
        error.path = (step, *error.path)
        raise


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _unfit(value: object, wanted: Any, field: str) -> WrongValue:
    shown = repr(value) if isinstance(value, bool | int | float | str | None) else "this"
    names = {bool: "a truth value", str: "a string", dict: "a mapping", NoneType: "nothing"}
    what = "a number" if _is_number(value) else f"a {type(value).__name__}"
    what = names.get(type(value), what)
    described, example = _described(wanted)
    return WrongValue(
        f"'{field}' wants {described}, and {shown} is {what}", f"for example: {example}"
    )


#: How types are called, and how their values are written.
_WORDS: dict[Any, tuple[str, str]] = {
    str: ("string", '"..."'),
    bool: ("truth value", "True"),
    int: ("whole number", "1"),
    float: ("number", "1.5"),
    Version: ("version", '"26.11"'),
    Spec: ("spec", '"fireworks@2.1"'),
    Path: ("path", '"..."'),
}


def _described(wanted: Any, *, plural: bool = False) -> tuple[str, str]:
    """What an annotation allows, in words; and an example of it."""
    origin, args = get_origin(wanted), get_args(wanted)
    if origin in (Union, UnionType):
        members = [_described(member, plural=plural) for member in args]
        return " or ".join(words for words, _ in members), members[0][1]
    if origin is tuple:
        words, example = _described(args[0], plural=True)
        return words, f"{example}, {example}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        words, example = _described(args[1], plural=True)
        return f"a mapping from names to {words}", f'{{"NAME": {example}}}'
    if origin is Literal:
        return "one of " + ", ".join(map(repr, args)), repr(args[-1])
    if wanted is NoneType:
        return "None", "None"
    name, example = _WORDS.get(wanted, (getattr(wanted, "__name__", str(wanted)), '"..."'))
    return f"{name}s" if plural else f"a {name}", example


# Rules beyond the type, for fields that every kind has.

#: Whole names: what breaks the programs of a stack, and what breaks others if a module sets it.
_INSIDE = r"PATH|PYTHONHOME|TYKKY_\w*"
_OUTSIDE = (
    rf"{_INSIDE}|LD_\w+|PYTHON(PATH|STARTUP|SAFEPATH|INSPECT|USERBASE)|BASH_ENV|ENV|IFS"
    r"|HOME|SHELL|USER|LOGNAME|MODULEPATH|LOADEDMODULES|_LMFILES_|LMOD_\w+"
)


def _versions(versions: tuple[Version, ...]) -> None:
    for index, version in enumerate(versions):
        if version in versions[:index]:
            cause = f"the version {version} is named twice"
            raise WrongValue(cause, "take one of them out", (index,))


def _commands(commands: tuple[str, ...] | Mapping[str, str]) -> None:
    for name in commands if isinstance(commands, Mapping) else ():
        if "/" in name:
            cause = f"a command has no directory in its name, and {name!r} has"
            remedy = 'write the name alone, with the path behind it: {"name": "path/of/program"}'
            raise WrongValue(cause, remedy, (name,))
    named = isinstance(commands, Mapping)
    pairs = commands.items() if isinstance(commands, Mapping) else enumerate(commands)
    for step, pattern in pairs:
        name = str(step) if named else pattern
        cause, remedy = "", 'one name or glob in each string: "python*", "pip*"'
        if not name.strip("/") or re.search(r"[\s,]", name):
            cause = f"{name!r} cannot be the name of a command"
        elif not pattern.strip("/"):
            cause, remedy = f"the command {name!r} has no program", "write its path behind the name"
        elif ".." in pattern.split("/"):
            cause, remedy = f"{pattern!r} leads out of the stack", "write the path from its top"
        elif re.search(r"\*\*[^/]|[^/]\*\*", pattern):
            cause, remedy = f"{pattern!r} has '**' beside something else", "write one star"
        if cause:
            raise WrongValue(cause, remedy, (step,))


def _variables(variables: Mapping[str, str], refused: str) -> None:
    for name, value in variables.items():
        cause = remedy = ""
        if re.search(r"[\x00-\x1f\x7f]", value):
            cause = f"the value of {name} has a line break or another control character in it"
            remedy = "no launch file or shell could set that; put it on one line"
        elif not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
            cause = f"{name!r} cannot be the name of an environment variable"
            remedy = "use letters, digits and '_'"
        elif re.fullmatch(refused, name):
            cause = f"a module that sets {name} breaks other programs"
            remedy = "set it inside the stack, in 'env'"
            if re.fullmatch(_INSIDE, name):
                cause = f"a recipe that sets {name} breaks its own programs"
                remedy = "leave it out: Tykky and its launcher see to it"
        if cause:
            raise WrongValue(cause, remedy, (name,))


def _reads(places: tuple[str, ...]) -> None:
    for index, place in enumerate(places):
        if not place.startswith("/"):
            cause = f"{place!r} is no absolute path"
            raise WrongValue(cause, 'write it from / on: "/appl/gcc"', (index,))


def _slurm(resources: Mapping[str, str]) -> None:
    own = ("time", "memory", "cpus", "gpus", "constraint")
    for name, value in resources.items():
        if name not in own:
            hint = did_you_mean(name, [*own]) or f"a recipe says {', '.join(own)}; a site the rest"
            raise WrongValue(f"'slurm' has no {name!r}", hint, (name,))
        if problem := jobs.problem(name, value):
            raise WrongValue(f"{value!r} {problem}", "write it as Slurm does", (name,))


_RULES: dict[str, Callable[[Any], None]] = {
    "versions": _versions,
    "commands": _commands,
    "reads": _reads,
    "slurm": _slurm,
    "env": partial(_variables, refused=_INSIDE),
    "setenv": partial(_variables, refused=_OUTSIDE),
}
