"""``pyproject.toml``: what a project needs, as it says or as Poetry does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.bring import requirements
from tykky.bring.found import Found
from tykky.bring.python import Asked, At, located, nothing, python_of, stack
from tykky.errors import RecipeError, Where
from tykky.text import read_text
from tykky.tools.wheels import toml

if TYPE_CHECKING:
    from tykky.config import Config

#: Why a project is not in the recipe of what it needs.
ITSELF = (
    "a stack has what the project needs: to have it as well, make a wheel of it ('pip wheel "
    "--no-deps .'), and add 'NAME @ file:///PATH/NAME-1.0-py3-none-any.whl' to the packages"
)
_EXTRA = "nobody has chosen it: add what it names to the packages, or make a variant of it"


def is_one(path: Path) -> bool:
    """Whether it is named so, or is the folder of such a project."""
    return path.name == "pyproject.toml" and path.is_file()


def read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """What a file in TOML says, and its text. Raises ``RecipeError`` with the line."""
    text = read_text(path, kind=RecipeError)
    try:
        return toml(text), text
    except ValueError as error:
        line = re.search(r"line (\d+)", str(error))
        where = Where(path, int(line[1]) if line else 0)
        cause = f"{path.name} is not valid TOML: {error}"
        raise RecipeError(cause, remedy="correct the line", where=where) from None


def line_of(text: str, *words: str) -> int:
    """The line of a text that has all the words in it; 0 if there is none."""
    lines = enumerate(text.splitlines(), 1)
    return next((number for number, line in lines if all(word in line for word in words)), 0)


def table(value: object) -> Mapping[str, Any]:
    """A value that should be a table, and is an empty one if it is none."""
    return value if isinstance(value, Mapping) else {}


def texts(value: object) -> list[str]:
    """A value that should be a list of texts, without all that is none."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def read(path: Path, config: Config) -> Found:
    """The recipe of what a project needs. Raises ``TykkyError``."""
    data, text = read_toml(path)
    project, tool = table(data.get("project")), table(data.get("tool"))
    poetry = table(tool.get("poetry"))
    asked = Asked()

    def at(*words: str) -> At:
        return At(path.name, line_of(text, *words), path.parent)

    limits = str(project.get("requires-python", ""))
    for line in texts(project.get("dependencies")):
        _add(asked, line, table(table(tool.get("uv")).get("sources")), at(line))
    if "dependencies" in texts(project.get("dynamic")):
        _dynamic(asked, table(tool.get("setuptools")), path, config, at('"dependencies"'))
    if not project.get("dependencies"):
        wanted = table(poetry.get("dependencies"))
        limits = limits or _poetry_version(str(wanted.get("python", "")))
        for name, value in wanted.items():
            if name != "python":
                _add_poetry(asked, str(name), value, at(str(name)))
    optional = table(project.get("optional-dependencies"))
    for extra, wanted in optional.items():
        asked.leave(f"the extra '{extra}': {', '.join(texts(wanted))}", _EXTRA, at(f"{extra} ="))
    groups = [*table(data.get("dependency-groups")), *table(poetry.get("group"))]
    for group in groups:
        why = "it is for those who work on the project"
        asked.leave(f"the dependency group '{group}'", why, at(str(group)))
    for index in _indexes(tool):
        asked.leave(f"the index {index}", requirements.why_index(index), at(index))
    name = str(project.get("name") or poetry.get("name") or path.absolute().parent.name)
    if not asked.packages:
        cause = f"{path.name} names nothing that a recipe could have"
        raise nothing(asked, cause, "it has no 'dependencies' in its table 'project'", path)
    asked.leave(f"the project {name} itself", ITSELF, at("name"))
    urls = {str(key).lower(): str(url) for key, url in table(project.get("urls")).items()}
    described = str(project.get("description") or poetry.get("description") or "")
    about = f"What {name} needs" + (f": {described}" if described else ".")
    return stack(
        asked,
        python_of(config, asked, limits=limits, at=at("python")),
        about=about,
        homepage=next((urls[key] for key in ("documentation", "homepage") if key in urls), ""),
        version=str(project.get("version") or poetry.get("version") or ""),
    )


def _add(asked: Asked, line: str, sources: Mapping[str, Any], at: At) -> None:
    """Add a requirement, unless the project takes it from somewhere that no lock can name."""
    found = requirements.parsed(line)
    if found is None:
        asked.leave(line, "is no requirement as pip writes them, such as 'numpy>=2'", at)
    elif found.url is not None:
        located(asked, found.url, found.name, at, found.extras, str(found.marker or ""))
    elif table(sources.get(found.name)).keys() & {"git", "path", "url", "workspace"}:
        source = table(sources[found.name])
        where = source.get("git") or source.get("url") or source.get("path") or "its workspace"
        address = f"git+{where}" if "git" in source else str(where)
        located(asked, address, found.name, at, found.extras)
    else:
        asked.packages.append(" ".join(line.split()))


def _dynamic(
    asked: Asked, setuptools: Mapping[str, Any], path: Path, config: Config, at: At
) -> None:
    """Add what setuptools would read from files."""
    given = table(table(setuptools.get("dynamic")).get("dependencies")).get("file", [])
    files = [given] if isinstance(given, str) else texts(given)
    for name in files:
        if not requirements.is_within(path.parent / name, path.parent):
            asked.leave(name, "it is hidden, or in another folder: copy it here", at)
            continue
        found = requirements.asked(path.parent / name, config)
        asked.packages += found.packages
        asked.constraints += found.constraints
        asked.source += found.source
        asked.left += found.left
    if not files:
        why = "only running its code tells them: write them into the recipe"
        asked.leave("dynamic dependencies", why, at)


def _indexes(tool: Mapping[str, Any]) -> Iterator[str]:
    for owner, key in (("uv", "index"), ("poetry", "source")):
        rows = table(tool.get(owner)).get(key, [])
        for row in rows if isinstance(rows, list) else ():
            if url := table(row).get("url"):
                yield str(url)


# -- Poetry ---------------------------------------------------------------------------------


def _add_poetry(asked: Asked, name: str, value: object, at: At) -> None:
    """Add what Poetry's own table says of a project."""
    said = table(value)
    version = value if isinstance(value, str) else str(said.get("version", "*"))
    if isinstance(value, list):
        asked.leave(name, "it has several versions for several machines: choose one", at)
        return
    if said.get("optional"):
        asked.leave(name, "it is optional, and nobody has chosen it: add it to the packages", at)
        return
    for key in ("git", "path", "url"):
        if key in said:
            located(asked, f"git+{said[key]}" if key == "git" else str(said[key]), name, at)
            return
    extras = f"[{','.join(texts(said.get('extras')))}]" if said.get("extras") else ""
    marker = f" ; {said['markers']}" if said.get("markers") else ""
    text = f"{name}{extras}{_poetry_version(version)}{marker}"
    if requirements.parsed(text) is None:
        asked.leave(f"{name} = {version}", "its version is not understood", at)
    else:
        asked.packages.append(text)


def _poetry_version(text: str) -> str:
    """A constraint of Poetry's as pip writes it: ``^1.2`` is ``>=1.2,<2``."""
    parts = (_poetry_part(part.strip()) for part in text.split(","))
    return ",".join(filter(None, parts))


def _poetry_part(part: str) -> str:
    found = re.fullmatch(r"([\^~])\s*(\d+(?:\.\d+)*)", part)
    if part in ("", "*"):
        return ""
    if found is None:
        return f"=={part}" if part[0].isdigit() else part.replace(" ", "")
    numbers = [*map(int, found[2].split("."))]
    if found[1] == "~":
        last = min(1, len(numbers) - 1)
    else:  # the first that is not zero
        last = next((n for n, number in enumerate(numbers) if number), len(numbers) - 1)
    upper = [*numbers[:last], numbers[last] + 1]
    return f">={found[2]},<{'.'.join(map(str, upper))}"
