"""What this machine can do for stacks: probes that really try, and what follows from them.

Public names: ``Probe``, ``Report``, ``examine``.
"""

from __future__ import annotations

from dataclasses import dataclass

from tykky.config import Config
from tykky.doctor.probe import Probe, Purpose

__all__ = ["Probe", "Report", "examine"]


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
    from tykky.doctor import namespaces, places, tools, trial

    node = tuple(namespaces.probes())
    found = (
        *node,
        *tools.probes(config, unprivileged=all(probe.verdict != "no" for probe in node)),
        *trial.probes(config),
        *places.probes(config),
    )
    order = ("run", "apptainer", "install", "modules", "shell")
    return Report(tuple(sorted(found, key=lambda p: order.index(p.purpose))))
