"""Package indexes of a test's own: real servers, with packages that have nothing in them."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

from tests.servers import Web, serve


def wheel(name: str, version: str = "1.0", **more: str) -> bytes:
    """A package that has one module with its version in it, and files, whose dots are two lines.

    A name that ends with a slash is an empty folder.
    """
    stream = io.BytesIO()
    info = f"{name}-{version}.dist-info"
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {
        f"{name}.py": f"version = '{version}'\n",
        **{file.replace("__", "."): text for file, text in more.items()},
        f"{info}/METADATA": head,
        f"{info}/WHEEL": tag,
    }
    with zipfile.ZipFile(stream, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)  # the same bytes whenever it is made
        kept = [path for path in files if path[-1] != "/"]
        lines = "".join(f"{path},,\n" for path in (*kept, f"{info}/RECORD"))
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD"), lines)
    return stream.getvalue()


def publish(web: Web, name: str, version: str = "1.0", age: float | None = None) -> None:
    """Put a package into the index of a server; with its ``age`` in days, if it is to tell that."""
    file, page = f"{name}-{version}-py3-none-any.whl", f"/simple/{name}/"
    web.files[f"/files/{file}"] = data = wheel(name, version)
    if age is not None:
        about = {"meta": {"api-version": "1.1"}, "name": name, "files": []}
        about = json.loads(web.files.get(page, json.dumps(about)))
        when = datetime.now(timezone.utc) - timedelta(days=age)
        row = {"filename": file, "url": f"/files/{file}", "size": len(data)}
        row |= {"hashes": {"sha256": hashlib.sha256(data).hexdigest()}}
        about["files"].append({**row, "upload-time": when.strftime("%Y-%m-%dT%H:%M:%SZ")})
        web.files[page] = json.dumps(about).encode()
        return
    link = f'<a href="/files/{file}">{file}</a>\n'.encode()
    web.files[page] = web.files.get(page, b"<!DOCTYPE html>\n") + link


@contextmanager
def index(*packages: str, login: str = "") -> Iterator[Web]:
    """An index with packages ``NAME==VERSION``, for everybody or for a ``USER:PASSWORD``."""
    with serve() as web:
        web.heads = True
        if login:
            web.login = "Basic " + base64.b64encode(login.encode()).decode()
        for package in packages:
            publish(web, *package.split("=="))
        yield web


def address(web: Web, login: str = "") -> str:
    """The address of the index of a server, with what it asks for."""
    return web.address.replace("://", f"://{login}@" if login else "://") + "/simple"
