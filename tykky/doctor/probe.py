"""What one probe of this machine found.

Public names: ``Probe``, ``Purpose``, ``Verdict``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Purpose = Literal["run", "apptainer", "install", "modules", "shell"]
"""What a probe matters for: running stacks, using containers, installing, loading modules, and
``tykky activate`` with its completion."""

Verdict = Literal["ok", "limited", "no"]
"""Works; works but could be better; does not work."""


@dataclass(frozen=True)
class Probe:
    """One line of ``tykky doctor``.

    ``found`` is what there is, ``remedy`` what to do or to ask the administrator for.
    """

    name: str
    purpose: Purpose
    verdict: Verdict
    found: str
    remedy: str = ""
