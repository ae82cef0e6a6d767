"""Bills of materials as the libraries of their formats read, check and write them."""

from __future__ import annotations

import io
import json
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from spdx_tools.spdx.parser.json.json_parser import parse_from_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
from spdx_tools.spdx.writer.json.json_writer import write_document_to_stream

from tests.stacks import Site


def check_cyclonedx(text: str) -> Bom:
    """A bill that is valid, and that the library writes as it has read it."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = Bom.from_json(json.loads(text))  # type: ignore[attr-defined]
    assert JsonV1Dot6(bom).output_as_string(indent=1) == text.rstrip("\n")
    assert isinstance(bom, Bom)
    return bom


def check_spdx(text: str, folder: Path) -> list[str]:
    """The package URLs of a bill that is valid, and that the library writes as it has read it."""
    path = folder / "bill.spdx.json"
    path.write_text(text, encoding="utf-8")
    document = parse_from_file(str(path))
    assert validate_full_spdx_document(document) == []
    again = io.StringIO()
    write_document_to_stream(document, again, validate=False)
    assert again.getvalue() == text.rstrip("\n")
    references = (ref for package in document.packages for ref in package.external_references)
    return sorted(reference.locator for reference in references)


def bill(site: Site, name: str) -> set[PackageURL]:
    """The URLs of all that is in an install, by its bill in both formats, which are valid."""
    text = site("sbom", name).stdout
    assert text == (site.generation(name) / "sbom.cdx.json").read_text()
    bom = check_cyclonedx(text)
    assert bom.metadata.component is not None and bom.metadata.component.name == name
    urls = [part.purl for part in (bom.metadata.component, *bom.components) if part.purl]
    other = site("sbom", name, "--format", "spdx").stdout
    assert check_spdx(other, site.user.home) == sorted(map(str, urls))
    return set(urls)


def named(urls: set[PackageURL], kind: str) -> set[tuple[str, str]]:
    """Names and versions of the packages of a kind; of RPM with their epochs."""
    return {(url.name, url.version or "") for url in urls if url.type == kind}
