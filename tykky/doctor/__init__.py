"""What this machine can do for stacks: probes that really try, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tykky.config import Config

Purpose = Literal["run", "apptainer", "install", "modules", "shell"]
"""What a probe matters for: running stacks, using containers, installing, loading modules, and
``tykky activate`` with its completion."""

Verdict = Literal["ok", "limited", "no"]
"""Works; works but could be better; does not work."""

Finding = tuple[Verdict, str] | tuple[Verdict, str, str]
"""A verdict, what there is, and what to do or to ask the administrator for."""


@dataclass(frozen=True)
class Probe:
    """One line of ``tykky doctor``: a finding with its name and what it matters for."""

    name: str
    purpose: Purpose
    verdict: Verdict
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """All probes, and for what this machine is good."""

    probes: tuple[Probe, ...]

    def works(self, purpose: Purpose) -> bool:
        """Whether no probe that matters for this failed."""
        return not any(p.purpose == purpose and p.verdict == "no" for p in self.probes)


def examine(config: Config) -> Report:
    """Probe this machine, as the user who asks.

    Nothing is left behind, except the launcher in the user's cache if it had to be compiled.
    """
    from tykky.doctor import namespaces, places, tools

    failed = namespaces.trial()
    node: dict[str, Finding] = {
        "kernel": namespaces.kernel(),
        "user namespaces": namespaces.namespace(*failed),
        "/dev/fuse": namespaces.device(),
        "mounts of images": namespaces.mount(*failed),
    }
    unprivileged = all(finding[0] != "no" for finding in node.values())
    found: dict[Purpose, dict[str, Finding | None]] = {
        "run": {
            **node,
            "squashfuse_ll": tools.server(config),
            "a stack on trial": (trial := tools.stack(config)),
            "layers on trial": tools.stack(config, layers=2) if trial[0] == "ok" else None,
            "roots": places.roots(config),
            "programs in root": places.execution(config),
        },
        "apptainer": {"apptainer": tools.apptainer(unprivileged)},
        "install": {
            "mksquashfs": tools.mksquashfs(config),
            "uv": tools.uv(),
            "launcher": tools.launcher(),
            "python": tools.pythons(),
            "root": places.root(config),
            "locks in root": places.locks(config),
            "space for stacks": places.room(config.root, "root", 5),
            "build_dir": places.build_dir(config),
            "layers in build_dir": places.layers(config),
            "space for builds": places.room(config.build_dir, "build_dir", 10),
            "group": places.group(config),
            "others": places.others(config),
            "recipes": places.repos(config),
        },
        "modules": {"Lmod": tools.lmod()},
        "shell": {"setup-env.sh": tools.shell()},
    }
    return Report(
        tuple(
            Probe(name, purpose, *finding)
            for purpose, findings in found.items()
            for name, finding in findings.items()
            if finding
        )
    )
