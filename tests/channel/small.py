"""Small packages, each for one thing that packages do."""

from __future__ import annotations

import random
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.channel.files import PLACEHOLDER, File, Package

_PROGRAM = f"""
#include <stdio.h>
static const volatile char prefix[256] = "{PLACEHOLDER}";
int main(void) {{ printf("%s\\n", (const char *)prefix); return 0; }}
"""

_ACTIVATE = """\
export DATA_HOME="$CONDA_PREFIX/share/data home"
export DATA_PATH="$CONDA_PREFIX/share/data${DATA_PATH:+:$DATA_PATH}"
export DATA_DIRS="$CONDA_PREFIX/share:${DATA_DIRS:-/usr/share}"
export DATA_LAST="${DATA_LAST:+$DATA_LAST:}$CONDA_PREFIX/last"
export DATA_CACHE="$HOME/.cache/data"
export DATA_OWNER="owned by $USER"
if [ -z "${DATA_LEVEL:-}" ]; then export DATA_LEVEL=3; fi
unset DATA_UNWANTED
DATA_NOT_EXPORTED=1
"""


def packages() -> Iterator[Package]:
    """All of them."""
    yield _prefixed()
    yield Package(
        "activated",
        "1.0",
        {
            "etc/conda/activate.d/activated.sh": File(_ACTIVATE.encode()),
            "etc/conda/env_vars.d/activated.json": File(
                b'{"DATA_SITE": "from the package", "DATA_FILE": "from the package"}'
            ),
            "etc/conda/activate.d/later.sh": File(b'export DATA_LATER="after $DATA_HOME"\n'),
            "bin/show-data": File(b"#!/bin/sh\nenv | grep ^DATA_ | sort\n", 0o755),
        },
        noarch="generic",
        compact=False,
    )
    yield Package("shared", "1.0", {"share/shared/version": File(b"1\n")}, noarch="generic")
    yield Package("shared", "2.0", {"share/shared/version": File(b"2\n")}, noarch="generic")
    yield Package("twin", "1.0", {"share/shared/version": File(b"t\n")}, noarch="generic")
    weight = random.Random(1).randbytes(1 << 18)  # beside which a change is little
    yield Package("ballast", "1.0", {"share/ballast": File(weight)}, noarch="generic")
    for name, wanted in (("left", "shared 1.*"), ("right", "shared 2.*")):
        text = File(f"{name}\n".encode())
        yield Package(name, "1.0", {f"share/{name}": text}, (wanted,), noarch="generic")
    yield Package("orphan", "1.0", {}, ("no-such-package >=3",), noarch="generic")
    yield Package("modern", "1.0", {"share/modern": File(b"m\n")}, ("__glibc >=2.99",))
    yield Package("graphical", "1.0", {"share/gpu": File(b"g\n")}, ("__cuda >=12",))
    yield Package(
        "scripted",
        "1.0",
        {
            "bin/.scripted-post-link.sh": File(
                b'#!/bin/bash\necho "$PKG_NAME $PKG_VERSION" > "$PREFIX/share/scripted"\n', 0o755
            ),
            "share/placed": File(b"placed\n"),
        },
        noarch="generic",
    )


def _prefixed() -> Package:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "show-prefix.c")
        source.write_text(_PROGRAM)
        subprocess.run(["cc", "-O1", "-o", f"{folder}/out", str(source)], check=True)
        program = Path(folder, "out").read_bytes()
    text = f"#!{PLACEHOLDER}/bin/bash-of-nobody\n# {PLACEHOLDER}/share\n"
    return Package(
        "prefixed",
        "1.0",
        {
            "bin/show-prefix": File(program, 0o755, placeholder="binary"),
            "bin/show-prefix-link": File(link="show-prefix"),
            "etc/prefixed.conf": File(text.encode(), 0o644, placeholder="text"),
            "share/prefixed/closed": File(b"closed\n", 0o600),
            "share/prefixed/folder link": File(link="../data"),
        },
    )
