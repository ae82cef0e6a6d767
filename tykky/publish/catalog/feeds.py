"""The catalogue for programs: all of it, the shape of Lmod's software pages, changes as Atom."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

#: How many changes are told.
CHANGES = 60
FORMAT = 1
_FINAL = "*zfinal"
#: What a name in a version is compared as, by Lmod's ``parseVersion.lua``.
_LIKE = {"pre": "c", "preview": "c", "rc": "c", "p": "zfinal-", "dev": "@"}


def page_of(name: str, version: str = "") -> str:
    """The address of a page in a catalogue."""
    page = f"versions/{quote(version)}.html" if version else "index.html"
    return f"stacks/{quote(name)}/{page}"


def written(data: Any) -> str:
    """JSON, as short as it can be."""
    return json.dumps(data, separators=(",", ":")) + "\n"


def catalog(title: str, url: str, stacks: Sequence[Mapping[str, Any]]) -> str:
    """What is there, without packages; those are in the file of each stack."""
    plain = [{**stack, "versions": [*map(_plain, stack["versions"])]} for stack in stacks]
    return written({"format": FORMAT, "title": title, "url": url, "stacks": plain})


def _plain(version: Mapping[str, Any]) -> dict[str, Any]:
    return {key: version[key] for key in version if key not in ("events", "module_path")}


def changes(stacks: Sequence[Mapping[str, Any]], gone: Sequence[Mapping[str, str]]) -> list[Any]:
    """The last changes of all, the newest first."""
    found = [
        {"name": stack["name"], "version": each["version"], "module": each["module"], **event}
        for stack in stacks
        for each in stack["versions"]
        for event in each["events"]
    ]
    gone_as = {"what": "removed from the list", "version": "", "generation": 0, "why": ""}
    found += [{**each, **gone_as} for each in gone]
    return sorted(found, key=lambda e: (e["when"], e["module"]), reverse=True)[:CHANGES]


def atom_entries(url: str, told: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """The entries of the Atom feed, with identifiers that stay."""
    for each in told:
        key = f"tykky:{url}:{each['module']}:{each['what']}:{each['generation']}:{each['when']}"
        number = f" (#{each['generation']})" if each["what"] in ("updated", "rolled back") else ""
        version = each["version"]
        page = page_of(each["name"], version) if version else "index.html"
        yield {
            "id": identifier(key),
            "title": f"{each['module']} {each['what']}{number}",
            "when": each["when"],
            "href": url + page,
            "why": each["why"],
        }


def identifier(text: str) -> str:
    """The same identifier for the same text."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, text)}"


def software_page(stacks: Sequence[Mapping[str, Any]]) -> str:
    """The module list in the shape of Lmod's ``spider -o jsonSoftwarePage``, which centres publish.

    Retired versions are not in it.
    """
    found = []
    for stack in stacks:
        there = [e for e in stack["versions"] if all(s["state"] != "retired" for s in e["states"])]
        versions = [
            {
                "versionName": each["version"],
                "full": each["module"],
                "path": each["module_path"] and f"{each['module_path']}/{each['module']}.lua",
                "description": each["description"],
                "help": each["description"],
                "canonicalVersionString": canonical(each["version"]),
                "wV": _weight(each),
                "markedDefault": each["default"],
                **({"properties": {"arch": {"gpu": 1}}} if each["gpu"] else {}),
            }
            for each in there
        ]
        if versions:
            default = next((v for v in versions if v["markedDefault"]), versions[0])
            entry = {"package": stack["name"], "description": default["description"]}
            entry |= {"url": stack["homepage"], "defaultVersionName": default["versionName"]}
            versions.sort(key=lambda v: str(v["wV"]))
            found.append({**entry, "versions": versions})
    return written(found)


def _weight(version: Mapping[str, Any]) -> str:
    """What versions are sorted by, the default last."""
    text = canonical(version["version"])
    return f"^{text[1:]}" if version["default"] else text


def canonical(version: str) -> str:
    """A version so that texts compare as versions do, in the way of Lmod."""
    text, parts = version.lower(), list[str]()
    if text.startswith("."):
        text = f"0{text}"
    for word in [*re.findall(r"\d+|[a-z]+|-p|/|[^.]", text), None]:
        if word is None:
            part = _FINAL
        elif word.isdigit():
            parts.append(f"{int(word):09d}")
            continue
        elif word == "/":
            parts.append(word)
            continue
        else:
            part = "*" + ({"-": "zfinal-", "-p": "zfinal-"}.get(word) or _LIKE.get(word, word))
        if part != _FINAL:
            while parts and parts[-1] == "*zfinal-":
                parts.pop()
        while parts and parts[-1] == "000000000":
            parts.pop()
        if part == _FINAL:
            while parts and parts[-1] == "*zfinal-":
                parts.pop()
        parts.append(part)
    return ".".join(parts).replace("./.", "/")
