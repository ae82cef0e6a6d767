"""Having an environment's own Python finish it: see the script ``seal.py`` beside this.

Public name: ``seal``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tykky.build.box import Box

_NAME = ".tykky-seal.py"


def seal(box: Box, *words: str | Path) -> None:
    """Run the script with the environment's Python; ``words`` say what it does."""
    box.write(_NAME, Path(__file__).with_name("seal.py").read_text(encoding="utf-8"))
    line = [box.prefix / "bin/python", "-I", box.prefix / _NAME, str(box.jobs), *words]
    box.run(line, say="byte code for all modules")
