"""Builds the recipes that come with Tykky: ``python -m tests.nightly [PATTERN...]``.

The suite audits all recipes and builds three of them; the others take minutes and gigabytes, and
are built here, every version with every choice, one after the other, each with its own test. What
is not to be built is named below, with the reason. What cannot be downloaded from this machine is
told and is no failure. Logs of failures are kept in ``build/nightly``; the exit code is 1 if
there are any. Downloads stay in the user's own cache. TYKKY names the program.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from tests.support import remove
from tykky.errors import Exit

TOP = Path(__file__).parents[1]
TYKKY = os.environ.get("TYKKY", str(Path(sys.executable).with_name("tykky")))

#: What the suite builds anyway, and where.
SUITE = {
    "biokit@*": "tests/system/test_container_recipes.py",
    "fftw-demo@*": "tests/system/test_disk.py",
    "mpi-python@*": "tests/system/test_container_recipes.py",
}
#: What is only locked and planned, and why.
PLANNED = {
    "* +cuda*": "4 GB of libraries for GPUs",
    "paraview@*": "1.2 GB of Debian's packages",
    "python-vllm@*": "8 GB of libraries for GPUs",
}
_SQUASHED = re.compile(r"squash +(\d+) files into .* image of ([\d.]+ \w+)")


def not_built(spec: str) -> str:
    """Why a selection is not built nightly; nothing if it is."""
    reasons = {**{name: f"by {where}" for name, where in SUITE.items()}, **PLANNED}
    return next((why for name, why in reasons.items() if fnmatchcase(spec, name)), "")


def tykky(*words: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the program; how it went, and what it printed."""
    return subprocess.run([TYKKY, *words], env=env, capture_output=True, text=True)


def build(spec: str, env: Mapping[str, str]) -> tuple[bool, str]:
    """Install, and remove; whether it went well, and what to tell of it."""
    started = time.monotonic()
    done = tykky("install", *spec.split(), env=env)
    seconds = time.monotonic() - started
    _, _, cause = done.stderr.partition("tykky: error: ")
    cause = cause.partition("\n")[0]
    if done.returncode == Exit.NETWORK:
        return True, f"cannot be downloaded from here: {cause[:160]}"
    if done.returncode != Exit.OK:
        log = TOP / "build/nightly" / (re.sub(r"\W+", "-", spec) + ".log")
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(done.stderr + tykky("log", "--failed", *spec.split(), env=env).stdout)
        return False, f"FAILED after {seconds:.0f} s, see {log.relative_to(TOP)}: {cause}"
    tykky("uninstall", *spec.split(), env=env)
    tykky("gc", "--days", "0", env=env)
    squashed = _SQUASHED.search(done.stderr)
    files, size = squashed.groups() if squashed else ("0", "nothing")
    return True, f"{seconds:.0f} s, {files} files, {size}"


def main(patterns: list[str]) -> int:
    """Build what the patterns mean, all without any; the exit code."""
    cache = tykky("config", "get", "cache_dir", env=os.environ).stdout.strip()
    place = Path(tempfile.mkdtemp(prefix="tykky-nightly."))
    env = {**os.environ, "TYKKY_ROOT": str(place / "t"), "TYKKY_BUILD_DIR": str(place / "build")}
    env |= {"TYKKY_CACHE_DIR": cache, "TYKKY_BASES_DIR": str(Path(cache, "bases"))}
    failed = 0
    try:
        for answer in json.loads(tykky("audit", "--json", *patterns, env=env).stdout)["result"]:
            spec, wrong = answer["spec"], answer["problem"]
            why = "" if patterns else not_built(spec)
            print(f"{spec:34}", end=" ", flush=True)
            if wrong or why:
                well, said = not wrong, wrong or f"not built: {why}"
            else:
                well, said = build(spec, env)
            print(said, flush=True)
            failed += not well
    finally:
        remove(place)
    return min(failed, 1)


if __name__ == "__main__":
    shutil.rmtree(TOP / "build/nightly", ignore_errors=True)
    sys.exit(main(sys.argv[1:]))
