"""Stop the real program between any two of its operations on files."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.stacks import Site

#: A directory for PYTHONPATH; what the settings mean is said in it.
SABOTEUR = Path(__file__).parent / "saboteur"


def sabotaged(site: Site, number: signal.Signals, **how: str | int) -> Site:
    """The program, which is sent a signal before one of its operations in its store.

    ``at`` gives the operation's number, ``match`` a regular expression for it. With ``nolock``,
    there is no signal, but no locks on its files either.
    """
    settings = {f"SABOTAGE_{key.upper()}": str(value) for key, value in how.items()}
    return site.with_env(
        PYTHONPATH=str(SABOTEUR),
        SABOTAGE_BELOW=str(site.root),
        SABOTAGE_SIGNAL=str(int(number)),
        **settings,
    )
