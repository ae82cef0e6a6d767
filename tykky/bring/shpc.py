"""The ``container.yaml`` of a registry of Singularity-HPC (shpc)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.bring.found import Found, Left
from tykky.bring.images import CORRECT, UNKNOWN, listed, version_of
from tykky.bring.project import line_of, table
from tykky.errors import RecipeError, TykkyError, Where
from tykky.kinds.container import ContainerStack
from tykky.recipe.fields import WrongValue, convert, fields
from tykky.text import load_yaml, read_text

if TYPE_CHECKING:
    from tykky.config import Config


def is_one(path: Path) -> bool:
    """Whether a file is the ``container.yaml`` of a registry of shpc."""
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return False
    try:
        text = read_text(path)
    except TykkyError:
        return False
    return bool(re.search(r"(?m)^(docker|oras|gh|path):", text)) and bool(
        re.search(r"(?m)^(tags|aliases|latest|url):", text)
    )


def read(path: Path, config: Config) -> Found:
    """The recipe of a ``container.yaml`` of shpc, whose image is not pulled. ``TykkyError``."""
    text = read_text(path, kind=RecipeError)
    data = table(load_yaml(text, path, RecipeError))

    def left(what: str, why: str, *words: str) -> Left:
        return Left(what, why, path.name, line_of(text, *(words or (what,))))

    lost: list[Left] = []
    latest = table(data.get("latest"))
    tag, digest = next(((str(k), str(v)) for k, v in latest.items()), ("", ""))
    tag = tag if re.fullmatch(r"\w[\w.-]*", tag) else ""
    image = ""
    if data.get("docker"):
        at = f"@{digest}" if re.fullmatch("sha256:[0-9a-f]{64}", digest) else ""
        image = f"docker://{data['docker']}:{tag}{at}" if tag else f"docker://{data['docker']}{at}"
    elif data.get("oras"):
        image = f"oras://{data['oras']}:{tag}" if tag else f"oras://{data['oras']}"
    elif data.get("path"):
        image = str((path.parent / str(data["path"])).absolute())
    if not image:
        cause = f"{path.name} names no image of 'docker', 'oras' or 'path'"
        remedy = "pull its image, and make a recipe of that: --from FILE.sif"
        raise RecipeError(cause, remedy=remedy, where=Where(path))
    commands, lost_aliases = _aliases(data.get("aliases"))
    lost += [left(what, why, what.partition(":")[0]) for what, why in lost_aliases]
    for key in ("docker_options", "singularity_options", "singularity_script", "docker_script"):
        if data.get(key):
            why = "options and scripts of a runtime are not carried over: 'binds' and 'gpu' may do"
            lost.append(left(key, why))
    if data.get("overrides"):
        lost.append(left("overrides", "files for single tags are not carried over"))
    for other in [str(each) for each in table(data.get("tags")) if str(each) != tag][:10]:
        lost.append(left(f"the tag {other}", "a recipe may have it as another version", other))
    features = table(data.get("features"))
    gpu = "nvidia" if features.get("gpu") else ""
    env = {str(k): str(v) for k, v in table(data.get("env")).items()}
    for key, value in [*env.items()]:
        if why := _wrong("env", {key: value}):
            lost.append(left(f"{key}={value}", why, key))
            del env[key]
    if not commands:
        lost.append(left("aliases", "it offers no commands: name in 'commands' those to offer"))
        commands = ("sh",)
    lost.append(Left("the licence", CORRECT, path.name))
    sheet: dict[str, object] = {
        "homepage": str(data.get("url") or UNKNOWN),
        "license": UNKNOWN,
        "maintainers": tuple(filter(None, [str(data.get("maintainer") or "")])),
        "image": image,
        "commands": commands,
        **({"env": env} if env else {}),
        **({"gpu": gpu} if gpu else {}),
    }
    sheet = {key: value for key, value in sheet.items() if value != ()}
    about = str(data.get("description") or f"Programs of {image.partition('@')[0]}.")
    first = next(iter(commands)).rpartition("/")[2]
    version = version_of(f":{tag}") if tag else ""
    tests = (f"command -v {first}",)
    return Found("ContainerStack", sheet, {}, tuple(lost), version, about, tests)


def _aliases(given: object) -> tuple[Any, list[tuple[str, str]]]:
    """The commands that aliases mean, and what of them is more than a program."""
    pairs: dict[str, str] = {}
    lost = []
    rows = (
        given.items()
        if isinstance(given, Mapping)
        else [
            (row.get("name"), row.get("command"))
            for row in listed(given)
            if isinstance(row, Mapping)
        ]
    )
    for name, command in rows:
        words = str(command or "").split()
        if not words or not name:
            continue
        if len(words) > 1:
            lost.append((f"{name}: {command}", "a command is one program, without words behind it"))
        elif why := _wrong("commands", {str(name): words[0]}):
            lost.append((f"{name}: {command}", why))
        else:
            pairs[str(name)] = words[0]
    plain = all(
        program in (name, f"/{name}") or program.endswith(f"/{name}")
        for name, program in pairs.items()
    )
    return (tuple(pairs.values()) if plain else pairs), lost


def _wrong(field: str, value: object) -> str:
    """Why a field of a recipe cannot have a value; empty if it can."""
    try:
        convert(field, value, fields(ContainerStack)[field])
    except WrongValue as error:
        return f"{error.cause}: {error.remedy}"
    return ""
