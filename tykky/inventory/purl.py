"""Package URLs, https://github.com/package-url/purl-spec: how others name what is in a stack."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tykky.contents import Installed

#: What packages of distributions come in.
_OF_DISTRIBUTIONS = ("apk", "deb", "rpm")
#: Schemes of references to images that have a digest by which a registry knows them.
_OCI = re.compile(r"(docker|oras)://|(oci|oci-archive|docker-archive):")


def kind_of(package: Installed) -> str:
    """The type of a package's URL, as far as it can be told of those that do not say it."""
    if package.type:
        return package.type
    return "conda" if package.build else "pypi" if package.channel == "pypi" else "generic"


def of_package(package: Installed) -> str:
    """The URL of a package."""
    kind, namespace, version = kind_of(package), "", package.version
    more: dict[str, str] = {}
    if kind == "conda":
        parts = package.url.rsplit("/", 2)
        archive = "tar.bz2" if package.url.endswith(".tar.bz2") else "conda"
        more = {"build": package.build, "channel": package.channel, "type": archive}
        more["subdir"] = parts[1] if len(parts) == 3 else ""
    elif kind in _OF_DISTRIBUTIONS:
        namespace = package.channel.partition("-")[0]
        more = {"arch": package.build, "distro": package.channel}
        if kind == "rpm" and ":" in version:
            more["epoch"], _, version = version.partition(":")
    elif re.match(r"(git|hg|svn|bzr)\+", package.url):
        more = {"vcs_url": package.url}
    return _text(kind, namespace, package.name, version, more)


def of_image(name: str, digest: str) -> str:
    """The URL of an image, by the reference that it is known by, and its digest."""
    found = _OCI.match(name)
    if not found:
        return of_file(PurePosixPath(name).name or name, "", "")
    path, _, _ = name[found.end() :].partition("@")
    if not found[1]:
        return _text("oci", "", PurePosixPath(path).stem, f"sha256:{digest}", {})
    repository, colon, tag = path.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = path, ""
    if "/" not in repository:
        repository = f"library/{repository}"
    host = repository.partition("/")[0]
    if not re.search(r"[.:]|^localhost$", host):
        repository = f"docker.io/{repository}"
    last = repository.rpartition("/")[2]
    more = {"repository_url": repository, "tag": tag}
    return _text("oci", "", last, f"sha256:{digest}", more)


def of_file(name: str, url: str, sha256: str) -> str:
    """The URL of a file that is no package of any kind."""
    checksum = f"sha256:{sha256}" if sha256 else ""
    return _text("generic", "", name, "", {"download_url": url, "checksum": checksum})


def of_stack(name: str, version: str, build: str = "") -> str:
    """The URL of a stack; ``build`` is the digest of what one is built from."""
    return _text("generic", "", name, version, {"build": build})


def _text(kind: str, namespace: str, name: str, version: str, more: dict[str, str]) -> str:
    from packageurl import PackageURL

    given = {key: value for key, value in more.items() if value}
    return str(PackageURL(kind, namespace, name, version, given).to_string())
