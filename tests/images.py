"""Small container images made by the tests, and a registry on this machine to put them in."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import socket
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HELLO = """\
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
extern char **environ;
int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "cat") == 0) {
        FILE *file = fopen(argv[2], "r");
        for (int c; file && (c = getc(file)) != EOF;)
            putchar(c);
        return file ? 0 : 3;
    }
    if (argc > 1 && strcmp(argv[1], "env") == 0)
        for (char **e = environ; *e; e++)
            puts(*e);
    else if (argc > 1 && strcmp(argv[1], "exit") == 0)
        return atoi(argv[2]);
    else
        printf("hello from %s\\n", argv[0]);
    return 0;
}
"""


def static_program(folder: Path) -> bytes:
    """A program that needs nothing of its image: says hello, or shows its environment."""
    source, target = folder / "hello.c", folder / "hello"
    source.write_text(HELLO)
    subprocess.run(["cc", "-static", "-Os", "-s", "-o", target, source], check=True)
    return target.read_bytes()


def docker_archive(
    path: Path,
    files: Mapping[str, bytes],
    *,
    env: Sequence[str] = (),
    arch: str = "amd64",
    tag: str = "tests/image:1",
) -> Path:
    """Write an image of one layer, as ``docker save`` does; all its files are programs."""
    layer = _tar({name: (data, 0o755) for name, data in files.items()})
    settings = {
        "architecture": arch,
        "os": "linux",
        "config": {"Env": list(env)},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_sha256(layer)}"]},
        "history": [{"created_by": "tests"}],
    }
    config = json.dumps(settings).encode()
    manifest = [
        {"Config": f"{_sha256(config)}.json", "RepoTags": [tag], "Layers": ["layer.tar"]},
    ]
    parts = {
        f"{_sha256(config)}.json": (config, 0o644),
        "layer.tar": (layer, 0o644),
        "manifest.json": (json.dumps(manifest).encode(), 0o644),
    }
    path.write_bytes(_tar(parts))
    return path


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _tar(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        folders = {str(p) for name in files for p in Path(name).parents if str(p) != "."}
        for folder in sorted(folders):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for name, (data, mode) in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


#: Who may use a registry that asks for a name, and the line of that in a file of htpasswd.
USER, PASSWORD = "kim", "s3cret pass"
_HTPASSWD = "kim:$2b$05$abcdefghijklmnopqrstuu1qdcFaS0PtqFUPzaCxLQ8/0lspH0ZEW"


@dataclass(frozen=True)
class Registry:
    """A registry that listens on ``host``, and the folder with its blobs.

    A ``private`` one is for ``USER`` with ``PASSWORD`` only.
    """

    host: str
    folder: Path
    private: bool = False

    def push(self, archive: Path, name: str) -> str:
        """Put a docker archive there; the digest of its manifest, in hex."""
        target = f"docker://{self.host}/{name}"
        word = f"{USER}:{PASSWORD}"
        there = ["--dest-creds", word] if self.private else []
        insecure = "--dest-tls-verify=false"
        _skopeo("copy", "--quiet", insecure, *there, f"docker-archive:{archive}", target)
        back = ["--creds", word] if self.private else []
        return _sha256(_skopeo("inspect", "--tls-verify=false", "--raw", *back, target))

    def log_in(self, file: Path, password: str = PASSWORD) -> None:
        """Let skopeo write a file of credentials."""
        file.parent.mkdir(parents=True, exist_ok=True)
        words = ["--tls-verify=false", "--authfile", file, "--username", USER, "--password-stdin"]
        subprocess.run(
            ["skopeo", "login", *words, self.host],
            input=password,
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def blob(self, digest: str) -> Path:
        """The file of one blob."""
        (path,) = self.folder.rglob(f"blobs/sha256/{digest[:2]}/{digest}/data")
        return path


def _skopeo(*arguments: str) -> bytes:
    return subprocess.run(["skopeo", *arguments], check=True, stdout=subprocess.PIPE).stdout


def has_registry() -> bool:
    """Whether Debian's registry and skopeo are installed."""
    return bool(shutil.which("docker-registry") and shutil.which("skopeo"))


@contextmanager
def run_registry(folder: Path, private: bool = False, auth: str = "") -> Iterator[Registry]:
    """Run Debian's docker-registry on a free port.

    ``auth`` is the section of that name of its configuration; by default, of a private one, a
    file with the password of ``USER``.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    auth = auth or f"{{htpasswd: {{realm: tests, path: {folder}/users}}}}"
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{host}'}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/blobs}}}}\n"
        + (f"auth: {auth}\n" if private else "")
    )
    (folder / "users").write_text(f"{_HTPASSWD}\n")
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(config)], stdout=log, stderr=log
        )
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://{host}/v2/").close()
                break
            except urllib.error.HTTPError:
                break  # it answers that it wants to know who asks
            except OSError:
                time.sleep(0.05)
        yield Registry(host, folder, private)
    finally:
        process.terminate()
        process.wait()
