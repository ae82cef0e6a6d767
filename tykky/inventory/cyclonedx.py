"""Bills of materials in CycloneDX 1.6.

A commit is not to wait for the library, which takes half a second for 300 packages. So the text is
made here as the library makes it, to the byte; ``checked`` has it read and write it again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tykky.errors import Exit, TykkyError
from tykky.inventory import bill

if TYPE_CHECKING:
    from tykky.contents import Installed
    from tykky.inventory.bill import Bill, Part
    from tykky.store import Record

#: The name of the file, in the folder of a generation.
FILE = "sbom.cdx.json"
_ABOUT = {
    "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
}


def of_generation(record: Record, packages: Sequence[Installed]) -> bytes:
    """The bill of a generation."""
    return text(bill.of_generation(record, packages)).encode()


def text(found: Bill) -> str:
    """The JSON of a bill."""
    tool = {"type": "application", "name": "tykky", "version": found.tykky}
    every = [found.root, *found.parts]
    value = {
        "serialNumber": found.serial.urn,
        "version": 1,
        "metadata": {
            "timestamp": found.made.isoformat(),
            "tools": {"components": [{k: v for k, v in tool.items() if v}]},
            "component": _component(found.root, "website"),
        },
        "components": sorted(
            (_component(part, "distribution") for part in found.parts),
            key=lambda each: (each["type"], each["name"], each.get("version", ""), each["bom-ref"]),
        ),
        "dependencies": sorted(map(_dependency, every), key=lambda each: str(each["ref"])),
    }
    if not found.parts:
        del value["components"]
    in_order = json.loads(json.dumps(value, sort_keys=True))
    return json.dumps({**in_order, **_ABOUT}, indent=1) + "\n"


def _component(part: Part, url_is: str) -> dict[str, Any]:
    """A component: what of it is known."""
    licence: dict[str, Any] = {"license": {"name": part.license, "acknowledgement": "declared"}}
    if part.spdx:
        licence = {"expression": part.spdx, "acknowledgement": "declared"}
    found = {
        "type": part.kind,
        "bom-ref": part.ref,
        "name": part.name,
        "version": part.version,
        "description": part.description,
        "hashes": [{"alg": "SHA-256", "content": each} for each in sorted(part.digests)],
        "licenses": [licence] if part.spdx or part.license else [],
        "purl": part.purl,
        "externalReferences": [{"type": url_is, "url": part.url}] if part.url else [],
        "properties": [{"name": k, "value": v} for k, v in sorted(part.facts.items())],
    }
    return {key: value for key, value in found.items() if value}


def _dependency(part: Part) -> dict[str, Any]:
    return {"ref": part.ref, **({"dependsOn": sorted(part.requires)} if part.requires else {})}


def checked(found: Bill) -> str:
    """The same text, as the library reads and writes it. Raises ``TykkyError`` if it cannot."""
    from cyclonedx.exception import CycloneDxException
    from cyclonedx.model.bom import Bom
    from cyclonedx.output.json import JsonV1Dot6

    try:
        read = Bom.from_json(json.loads(text(found)))  # type: ignore[attr-defined]
        return JsonV1Dot6(read).output_as_string(indent=1) + "\n"
    except (CycloneDxException, ValueError, TypeError) as error:
        cause = f"the bill of materials is not as CycloneDX wants it: {error}"
        raise TykkyError(cause, remedy="please report it", code=Exit.FAILED) from error
