"""What is said of an image in an archive: for which machine it is, and its environment.

Public name: ``configuration``.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

from tykky.errors import Exit, TykkyError


def configuration(kind: str, path: Path) -> dict[str, Any]:
    """The configuration of the image in an ``oci-archive`` or ``docker-archive``.

    Raises ``TykkyError`` if the file is no such archive, or is cut off.
    """
    try:
        with tarfile.open(path) as archive:
            if kind == "docker-archive":
                name = _load(archive, "manifest.json")[0]["Config"]
            else:
                found = _load(archive, "index.json")
                while "config" not in found:  # an index may lead to another one
                    found = _load(archive, _blob(found["manifests"][0]["digest"]))
                name = _blob(found["config"]["digest"])
            settings = _load(archive, name)
            return dict(settings)
    except OSError as error:
        raise TykkyError(
            f"the archive {path} cannot be read: {error.strerror or error}",
            remedy="correct its path in the recipe or in 'bases'",
            code=Exit.BASE,
        ) from error
    except (tarfile.TarError, EOFError, KeyError, IndexError, TypeError, ValueError) as error:
        # Of a file that is no archive at all, every form that was tried is told in a line.
        why = str(error).strip().partition("\n")[0].removesuffix(":") or "it ends early"
        raise TykkyError(
            f"{path} is no {kind}, or not a whole one: {why}",
            remedy="write it again: skopeo copy SOURCE oci-archive:FILE",
            code=Exit.DAMAGED,
        ) from error


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _load(archive: tarfile.TarFile, name: str) -> Any:
    stream = archive.extractfile(name)
    if stream is None:
        raise KeyError(f"{name} is no file")
    with stream:
        return json.loads(stream.read(8 << 20))
