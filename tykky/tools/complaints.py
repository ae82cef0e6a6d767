"""What uv and pip print when they fail, and what is to be done about it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tykky.errors import Exit, StepError, TykkyError
from tykky.tools import wheels

#: The failures of uv that can be told by its words: a pattern, the cause and the remedy, where
#: ``{0}`` is what the pattern captured, ``{index}`` which index it is, and ``{first}`` which is the
#: first that has what was captured; and the exit code.
_PROBLEMS = (
    (
        r"`(\S+)`\s+was\s+filtered\s+by\s+`exclude-newer`[^`]*?before\s+(\S+)T\S+\s+The\s+latest"
        r"\s+version\s+satisfying\s+the\s+requirement\s+is\s+v(\S+),\s+published\s+at\s+([\d-]+)",
        "nothing of '{0}' that would do was there before {1}, and pip.quarantine lets in nothing "
        "more recent",
        "ask for less, or wait: {2} is of {3}; '-c pip.quarantine=' takes it now, for one call",
        Exit.RESOLVE,
    ),
    (
        r"`(\S+)`\s+was\s+filtered\s+by\s+`exclude-newer`",
        "{first} does not say when '{0}' was uploaded, which pip.quarantine has to know",
        "name an index that gives upload times (PEP 700), or take the setting away: 'tykky config "
        "why pip.quarantine'",
        Exit.RESOLVE,
    ),
    (
        r"An index(?: URL)?\s+\((\S+)\)\s+(?:could\s+not\s+be\s+queried|returned)",
        "the package index {0} does not let you in",
        "it wants a user and password, or others than these: 'tykky config why pip.index_url'",
        Exit.NETWORK,
    ),
    (
        r"`(\S+)`\s+was\s+found\s+on\s+(\S+),\s+but\s+not\s+at\s+the\s+requested\s+version\s+"
        r"\(([^)]*)\).*?\(e\.g\.,\s+(?!\2\))(\S+)\)",
        "there is no {2} on {1}, which is the first package index with a '{0}', and so decides",
        "if {3} is trusted as much, name it first ('tykky config why pip.index_url'), or set "
        "pip.strategy to best-match (TYKKY_PIP_STRATEGY=best-match)",
        Exit.RESOLVE,
    ),
    (
        r"Because (\S+) was not found in the package registry",
        "there is no package '{0}' in {index}",
        "check its spelling, and 'tykky config why pip.index_url'",
        Exit.UNKNOWN_PACKAGE,
    ),
    (
        r"(?:Because|and)\s+(?:all\s+versions\s+of\s+)?(\S+?)(?:==\S+)?\s+ha(?:s|ve)\s+no\s+"
        r"(?:usable\s+)?wheels",
        "'{0}' has no wheel for this Python and platform",
        "let the recipe build it from source: source = ('{0}',)",
        Exit.RESOLVE,
    ),
    (
        r"(?:Because|and)\s+there\s+(?:is|are)\s+no\s+versions?\s+of\s+(\S+?)(?:,|\s)",
        "there is no {0} in the package index",
        "ask for a version that there is: 'pip index versions NAME' lists them",
        Exit.RESOLVE,
    ),
    (
        r"Because\s+only\s+(\S+)\s+(?:is|are)\s+available\s+and\s+you\s+require\s+(\S+?),",
        "there is no {1} in the package index, only {0}",
        "ask for a version that there is",
        Exit.RESOLVE,
    ),
    (
        "No solution found",
        "the requirements contradict each other",
        "loosen one of the requirements that the lines above name",
        Exit.RESOLVE,
    ),
    (
        "No space left on device|Disk quota exceeded",
        "there is no space left for the packages",
        "free some space, or choose other disks: 'tykky config why build_dir' and "
        "'tykky config why cache_dir' say which are used",
        Exit.NO_SPACE,
    ),
    (
        "Hash mismatch",
        "a downloaded file is not the one in the lock",
        "the index or something on the way altered it; do not install it",
        Exit.DAMAGED,
    ),
    (
        "Failed to initialize cache|Permission denied",
        "uv may not write to the cache",
        "choose a directory that you may write to: 'tykky config set cache_dir DIR'",
        Exit.NOT_WRITABLE,
    ),
    (
        "certificate",
        "{index} has a certificate that this machine does not trust",
        "have its authority added to the system's certificates, or name a file with it: "
        "export SSL_CERT_FILE=FILE",
        Exit.NETWORK,
    ),
    (
        r"(?i)error sending request|dns error|failed to lookup address|connection refused|"
        r"connection reset|connect error|network is unreachable|timed out|could not connect|tls|"
        r"http status \w+ error",
        "{index} cannot be reached",
        "check the network and proxies, and 'tykky config why pip.index_url'",
        Exit.NETWORK,
    ),
)


def explain(output: str, known: Sequence[str] = ()) -> TykkyError:
    """The error for what uv printed when it failed; ``known`` are the indexes that it has asked."""
    lines = tuple(line for line in output.splitlines() if line.strip())[-12:]
    for pattern, cause, remedy, code in _PROBLEMS:
        if found := re.search(pattern, output):
            names = {"index": _index(output, known), "first": ""}
            if "{first}" in cause:
                first = wheels.first_having(found[1], known)
                names["first"] = f"the package index {first}" if first else "the package index"
            cause, remedy = (text.format(*found.groups(), **names) for text in (cause, remedy))
            return StepError(cause, remedy=remedy, code=code, details=lines)
    return StepError("uv failed", remedy="the lines above are what it says", details=lines)


def of_script(error: StepError, shown: str, known: Sequence[str]) -> None:
    """Say in the remedy what is wrong where a command that is shown has asked pip or uv."""
    if re.search(r"\b(pip3?|uv)\b", shown):
        problem = explain("\n".join(error.details), known)
        if problem.code in (Exit.RESOLVE, Exit.UNKNOWN_PACKAGE):
            error.remedy = f"{problem.cause}: {problem.remedy}"


def _index(output: str, known: Sequence[str]) -> str:
    """Which index uv speaks of: the one that it could not ask, or else all."""
    plain = [re.sub(r"//[^/]*@", "//", address) for address in known]
    asked = re.findall(r"https?://[^\s`()]+", output)
    named = [one for one in plain if any(url.startswith(one.rstrip("/")) for url in asked)] or plain
    return f"the package index{'es' if len(named) > 1 else ''} {', '.join(named)}".strip()
