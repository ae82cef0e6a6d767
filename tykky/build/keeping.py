"""What a generation keeps of its recipe, the recipe that is made of that again, and its bill.

::

    recipe/recipe.py, recipe-1.py    the recipe, then those that it extends
    recipe/beside/0/NAME             what lies beside the first of them, unless it is too large
    recipe/made-of.json              the names of these recipes, and the digests of what lies beside
    sbom.cdx.json                    the bill of materials
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tykky.console import size
from tykky.contents import Installed
from tykky.errors import Exit, StoreError, explained, has_secret
from tykky.files import Permissions, digest_file, make_folder, read_json, write_file
from tykky.inventory import cyclonedx
from tykky.recipe import Recipe
from tykky.recipe.source import is_recipe, recipe_file, recipe_source
from tykky.repos import loading
from tykky.store import Place, Record

_REPOS = "tykky.repos."
_FOLDER, _BESIDE, _MADE_OF = "recipe", "beside", "made-of.json"
#: So many bytes of what lies beside recipes are kept, the smallest files first.
_MOST = 1 << 24


def folders_of(recipe: Recipe) -> list[Path]:
    """The folder of a recipe, then those of the recipes that it extends."""
    every = [recipe_file(each).parent for each in type(recipe).__mro__ if is_recipe(each)]
    return list(dict.fromkeys(every))


def keep(
    recipe: Recipe, beside: Mapping[str, str], generation: Path, permissions: Permissions
) -> list[str]:
    """Keep a recipe with what lies ``beside`` it in a generation; a sentence for what is not kept.

    That is what is too large, what is closed to others, and what has passwords or tokens in it.
    ``beside`` has a digest of each file, by ``<number of the folder>/<path in it>``. Raises
    ``TykkyError``.
    """
    folder, folders = generation / _FOLDER, folders_of(recipe)
    make_folder(folder, permissions)
    texts = {recipe_file(c): recipe_source(c) for c in type(recipe).__mro__ if is_recipe(c)}
    for number, text in enumerate(texts.values()):
        write_file(folder / _name(number), text or b"", permissions)
    if folders:
        made_of = {"recipes": [path.name for path in folders], "beside": dict(beside)}
        text = json.dumps(made_of, indent=1).encode() + b"\n"
        write_file(folder / _MADE_OF, text, permissions)
    paths = {name: folders[int(name.partition("/")[0])] / _within(name) for name in beside}
    left, lacking = _MOST, []
    with explained("keep what lies beside the recipe"):
        for name in sorted(beside, key=lambda name: paths[name].stat().st_size):
            status = paths[name].stat()
            left -= status.st_size
            data = paths[name].read_bytes() if left >= 0 else b""
            if why := _why_not(name, data, status, left):
                lacking.append(f"{paths[name]} {why}")
                continue
            kept = folder / _BESIDE / name
            for above in [*reversed(kept.relative_to(folder).parents)][1:]:
                make_folder(folder / above, permissions)
            kept.write_bytes(data)
            permissions.apply(kept, executable=bool(status.st_mode & 0o100))
    return lacking


def _why_not(name: str, data: bytes, status: os.stat_result, left: int) -> str:
    """Why a file is not kept for others to read, or nothing; ``left`` bytes more may be kept."""
    if left < 0:
        return f"is too large to be kept ({size(status.st_size)})"
    if not status.st_mode & 0o044:
        return "is closed to others, and is not kept"
    secret = has_secret(data.decode(errors="replace"), name)
    return "has a password, token or key in it, and is not kept" if secret else ""


def lay_out(record: Record, folder: Path) -> Path:
    """A repository in ``folder`` that has the recipe of a generation, of what that has kept.

    What lies beside it and was not kept is taken from where it was, if it is the same there.
    Raises ``StoreError``.
    """
    kept = Place(Path(record.prefix)).generation(record.generation) / _FOLDER
    names, beside = _read(kept, record)
    texts = [kept / _name(number) for number in range(len(names))]
    spaces = _imported(texts, names)
    homes = [folder / spaces.get(n, str(n)) / name for n, name in enumerate(names)]
    with explained(f"lay out the recipe of {record.title}"):
        for text, home in zip(texts, homes, strict=True):
            home.mkdir(parents=True)
            shutil.copyfile(text, home / loading.RECIPE_FILE)
        if beside is None and (old := Path(record.recipe.get("file", "/")).parent).is_dir():
            beside = {}
            shutil.copytree(old, homes[0], ignore=_no_input, dirs_exist_ok=True)
        for name, digest in (beside or {}).items():
            number, path = int(name.partition("/")[0]), _within(name)
            # Only where the first recipe was is known.
            there = Path(record.recipe.get("file", "/")).parent / path if number == 0 else kept
            found = next((p for p in (kept / _BESIDE / name, there) if p.is_file()), None)
            if found is None or digest_file(found) != digest:
                cause = f"{path}, which lay beside the recipe of {record.title}, "
                cause += f"is {'gone' if found is None else 'not what it was'}"
                remedy = f"put it back as {there}: its sha256 is {digest}"
                raise StoreError(cause, remedy=remedy, code=Exit.DAMAGED)
            (homes[number] / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found, homes[number] / path)
    for namespace in {*spaces.values()}:
        loading.publish(namespace, folder / namespace)
    return homes[0].parent


def _read(kept: Path, record: Record) -> tuple[list[str], dict[str, str] | None]:
    """The names of the recipes, and the digests of what lies beside them, ``None`` if unknown.

    Raises ``StoreError``.
    """
    try:
        found = read_json(kept / _MADE_OF)
        names, beside = found["recipes"], found["beside"]
        good = names and all(map(loading.is_name, names))
        if good and all(".." not in Path(name).parts for name in beside):
            return [*names], dict(beside)
        raise ValueError("it names what cannot be")
    except FileNotFoundError:
        # An earlier Tykky has kept the recipes only.
        if (kept / _name(0)).is_file() and not (kept / _name(1)).exists():
            return [record.name], None
        cause = f"{record.title} has not kept what its recipe is made of"
        remedy = "it was made by an earlier Tykky; 'tykky install --force' makes one that has"
        raise StoreError(cause, remedy=remedy) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        cause = f"{kept / _MADE_OF} is damaged: {error}"
        raise StoreError(cause, remedy="'tykky verify' tells more", code=Exit.DAMAGED) from None


def _imported(texts: list[Path], names: list[str]) -> dict[int, str]:
    """The namespaces that recipes import those from that they extend, by the number of these."""
    plain, found = [re.sub("[-_]", "", name) for name in names], dict[int, str]()
    for text, after in zip(texts, range(1, len(texts)), strict=False):
        for node in ast.walk(ast.parse(text.read_bytes())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(_REPOS):
                wanted = {alias.name.lower() for alias in node.names}
                number = next((n for n in range(after, len(names)) if plain[n] in wanted), None)
                if number is not None:
                    found[number] = str(node.module).removeprefix(_REPOS)
    return found


def _no_input(folder: str, names: list[str]) -> list[str]:
    """What lies in the folder of a recipe and is not taken from there."""
    for name in names:
        loading.check_trusted(Path(folder, name))
    return [name for name in names if name in (loading.RECIPE_FILE, "locks", "__pycache__")]


def _name(number: int) -> str:
    return f"recipe-{number}.py" if number else loading.RECIPE_FILE


def _within(name: str) -> Path:
    """The path in its folder of a file beside a recipe."""
    return Path(name.partition("/")[2])


def keep_bill(
    record: Record, packages: Sequence[Installed], generation: Path, permissions: Permissions
) -> str:
    """Keep the bill of materials of a generation; what has kept from that, if anything has.

    No build is lost for it: ``tykky refresh`` can make it later.
    """
    try:
        text = cyclonedx.of_generation(record, packages)
        write_file(generation / cyclonedx.FILE, text, permissions)
    except Exception as error:  # whatever an odd package has led to
        return f"{record.title} has no bill of materials, since it could not be made: {error}"
    return ""
