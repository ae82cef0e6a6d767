"""Bills of materials in SPDX 2.3, by spdx-tools, which is an extra: ``pip install tykky[spdx]``."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tykky.errors import Exit, ToolError, TykkyError

if TYPE_CHECKING:
    from tykky.inventory.bill import Bill, Part

#: What the parts of a bill are for.
_PURPOSES = {
    "application": "APPLICATION",
    "container": "CONTAINER",
    "file": "FILE",
    "library": "LIBRARY",
    "operating-system": "OPERATING_SYSTEM",
}
_DOCUMENT = "SPDXRef-DOCUMENT"


def text(found: Bill) -> str:
    """The JSON of a bill. Raises ``TykkyError``, also if it is not valid."""
    try:
        from spdx_tools.spdx.writer.json.json_writer import write_document_to_stream
    except ImportError:
        cause = "bills of materials in SPDX need the Python package spdx-tools, which is not there"
        raise ToolError(cause, remedy="pip install 'tykky[spdx]'") from None
    document, stream = _document(found), io.StringIO()
    try:
        write_document_to_stream(document, stream)
    except ValueError as error:
        cause = f"the bill of materials is not as SPDX wants it: {error}"
        raise TykkyError(cause, remedy="please report it", code=Exit.FAILED) from error
    return f"{stream.getvalue()}\n"


def _document(found: Bill) -> Any:
    from spdx_tools.spdx import model

    names = dict(_names(found))
    root, every = found.root, (found.root, *found.parts)
    tool = model.Actor(model.ActorType.TOOL, f"tykky-{found.tykky}".rstrip("-"))
    depends = [
        model.Relationship(names[part.ref], model.RelationshipType.DEPENDS_ON, names[ref])
        for part in every
        for ref in part.requires
    ]
    describes = model.RelationshipType.DESCRIBES
    named = {}
    for part in every:
        licence, info = _licence(part)
        named[part.ref] = licence
        named.update(info)
    return model.Document(
        model.CreationInfo(
            spdx_version="SPDX-2.3",
            spdx_id=_DOCUMENT,
            name=f"{root.name}-{root.version}",
            document_namespace=f"https://spdx.org/spdxdocs/{root.name}-{found.serial}",
            creators=[tool],
            created=found.made.replace(tzinfo=None),
        ),
        packages=[
            _package(part, names[part.ref], named[part.ref], is_root=part is root) for part in every
        ],
        relationships=[model.Relationship(_DOCUMENT, describes, names[root.ref]), *depends],
        extracted_licensing_info=[
            model.ExtractedLicensingInfo(key, said, said[:100])
            for key, said in sorted(named.items())
            if key.startswith("LicenseRef-")
        ],
    )


def _names(found: Bill) -> Iterator[tuple[str, str]]:
    """What each part is called in the document; none like another."""
    taken = {_DOCUMENT}
    for part in (found.root, *found.parts):
        words = part.purl or part.ref
        name = first = f"SPDXRef-{re.sub('[^A-Za-z0-9.]+', '-', words.partition('?')[0])}"
        number = 2
        while name in taken:
            name, number = f"{first}-{number}", number + 1
        taken.add(name)
        yield part.ref, name


def _licence(part: Part) -> tuple[Any, dict[str, str]]:
    """What a part says of its licence, and what the names in it are that SPDX does not list."""
    from spdx_tools.common.spdx_licensing import spdx_licensing
    from spdx_tools.spdx import model

    if part.spdx:
        own = re.findall(r"LicenseRef-[A-Za-z0-9.-]+", part.spdx)
        return spdx_licensing.parse(part.spdx), dict.fromkeys(own, part.license or part.spdx)
    if part.license.strip():
        word = re.sub("[^A-Za-z0-9.]+", "-", part.license).strip("-")[:60] or "unnamed"
        key = f"LicenseRef-tykky-{word}"
        return spdx_licensing.parse(key), {key: part.license}
    return model.SpdxNoAssertion(), {}


def _package(part: Part, name: str, licence: Any, *, is_root: bool) -> Any:
    from spdx_tools.spdx import model
    from spdx_tools.spdx.validation.uri_validators import validate_download_location, validate_url

    place: Any = model.SpdxNoAssertion()
    if part.url and not is_root and not validate_download_location(part.url):
        place = part.url
    homepage = part.url if is_root and part.url and not validate_url(part.url) else None
    references = [
        model.ExternalPackageRef(model.ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", url)
        for url in filter(None, [part.purl])
    ]
    facts = "; ".join(f"{key} {value}" for key, value in sorted(part.facts.items()))
    return model.Package(
        spdx_id=name,
        name=part.name,
        version=part.version or None,
        download_location=place,
        files_analyzed=False,
        checksums=[
            model.Checksum(model.ChecksumAlgorithm.SHA256, digest) for digest in part.digests
        ],
        homepage=homepage,
        license_concluded=model.SpdxNoAssertion(),
        license_declared=licence,
        copyright_text=model.SpdxNoAssertion(),
        description=part.description or None,
        comment=facts or None,
        external_references=references,
        primary_package_purpose=model.PackagePurpose[_PURPOSES[part.kind]],
    )
