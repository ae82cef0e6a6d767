"""What the engine refuses, in words for people.

Public names: ``explain``, ``silent``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tykky.errors import Exit, StepError, TykkyError

_WHY = "'tykky config why conda.aliases' says what the names of channels mean here"
_VIRTUAL = re.compile(r"(__\w+) ([^,\n]+?), for which no candidates were found")
_MISSING = re.compile(r"[└├]─ (\S+) ([^,\n]*?),? for which no candidates were found")
_LATER = re.compile(
    r"[└├]─ (\S+) \S+ is excluded because due to strict channel priority[^']*'([^']*)'"
)
_DISTANT = re.compile(
    r"error sending request|dns error|tcp connect|connection|timed out|tls|certificate|"
    r"status client error|status server error|HTTP status",
    re.IGNORECASE,
)


def explain(problem: Mapping[str, Any], job: Mapping[str, Any]) -> TykkyError:
    """The error for what the engine answered to a job."""
    kind, text = problem["kind"], str(problem["text"])
    lines = tuple(line.rstrip() for line in text.splitlines() if line.strip())
    if kind == "unsolvable":
        return _unsolvable(problem, text, lines)
    if kind == "channel":
        return _channel(str(problem.get("channel", "")), text, lines, job)
    if kind == "spec":
        return StepError(
            f"'{problem['spec']}' is no package as conda writes them: {text}",
            remedy="write NAME, NAME=VERSION or 'NAME >=VERSION,<VERSION'",
            code=Exit.RESOLVE,
        )
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return StepError(
            "there is no space left for the environment",
            remedy="free some space, or choose another disk: 'tykky config why build_dir'",
            code=Exit.NO_SPACE,
            details=lines[-6:],
        )
    if kind == "package":
        return StepError(
            f"the package {problem['package']} cannot be unpacked, although it is the one in the "
            "lock",
            remedy="the channel has published a broken file: lock another version or build",
            code=Exit.DAMAGED,
            details=lines[-4:],
        )
    if kind == "install":
        return StepError("the packages cannot be installed", details=lines[-12:])
    return StepError("the conda environment cannot be made", details=lines[-12:])


def _unsolvable(problem: Mapping[str, Any], text: str, lines: tuple[str, ...]) -> TykkyError:
    details = tuple(line for line in lines if not line.startswith("Cannot solve the request"))[:20]
    for name, close in problem["unknown"].items():
        return StepError(
            f"there is no package '{name}' in the channels",
            remedy=(f"did you mean {' or '.join(map(repr, close))}? " if close else "")
            + "Check its spelling, and which channels the recipe names",
            code=Exit.UNKNOWN_PACKAGE,
        )
    if later := _LATER.search(text):
        return StepError(
            f"what is wanted of '{later[1]}' is only in {later[2].rstrip('/')}, "
            "and a channel before that has the package, too",
            remedy=f"put that channel first; or say in the spec that it is meant, "
            f"CHANNEL::{later[1]}; or see 'tykky config why conda.strict_priority'",
            code=Exit.RESOLVE,
            details=details,
        )
    if virtual := _VIRTUAL.search(text):
        return StepError(
            f"a package needs {virtual[1]} {virtual[2]}, and the machines that the stack is for do "
            "not have it",
            remedy="take an older version of the package; or, if they do have it, say so: "
            "'tykky config why conda.virtual_packages', or 'virtual_packages' in the recipe",
            code=Exit.RESOLVE,
            details=details,
        )
    if missing := _MISSING.search(text):
        return StepError(
            f"a package needs '{missing[1]}', which is not in the channels as {missing[2]}",
            remedy="name the channel that has it, too: 'channels' in the recipe",
            code=Exit.RESOLVE,
            details=details,
        )
    if wanted := re.search(r"No candidates were found for (\S+) (.+?)\.?$", text, re.MULTILINE):
        there = problem["versions"].get(wanted[1], [])
        return StepError(
            f"there is no {wanted[1]} {wanted[2]} in the channels",
            remedy=f"there is {', '.join(there)}" if there else "check the channels",
            code=Exit.RESOLVE,
        )
    return StepError(
        "the packages contradict each other",
        remedy="loosen one of the requirements that the lines above name",
        code=Exit.RESOLVE,
        details=details,
    )


def _channel(channel: str, text: str, lines: tuple[str, ...], job: Mapping[str, Any]) -> TykkyError:
    named = f"the channel {channel}" if channel else f"one of {', '.join(job['channels'])}"
    if "could not find subdir" in text:
        return StepError(
            f"{named} is not there, or has no packages for {job['subdir']}",
            remedy=f"check its name in the recipe; {_WHY}",
            code=Exit.NETWORK,
            details=lines[-3:],
        )
    if _DISTANT.search(text):
        return StepError(
            f"{named} cannot be reached",
            remedy=f"check the network and proxies; {_WHY}",
            code=Exit.NETWORK,
            details=lines[-4:],
        )
    return StepError(
        f"{named} lists its packages in a way that cannot be read",
        remedy="try again later, or name another channel or mirror",
        code=Exit.DAMAGED,
        details=lines[-3:],
    )


def silent(channel: str) -> TykkyError:
    """The error for a channel that does not say anything."""
    return StepError(
        f"the channel {channel} does not answer",
        remedy=f"check the network and proxies; {_WHY}",
        code=Exit.NETWORK,
    )
