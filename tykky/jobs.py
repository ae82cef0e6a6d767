"""What a job of the batch system may be given, wherever somebody says so: names, and their forms.

The configuration, recipes and stack lists use the same words.
"""

from __future__ import annotations

import re

_WORD = r"[A-Za-z0-9][A-Za-z0-9_.,-]*"
#: Each resource: the form of its value, and an example for people.
RESOURCES: dict[str, tuple[str, str]] = {
    "partition": (_WORD, "a partition such as build"),
    "account": (_WORD, "an account such as project_42"),
    "qos": (_WORD, "a quality of service such as normal"),
    "time": (r"\d+|\d+:\d\d(:\d\d)?|\d+-\d+(:\d\d(:\d\d)?)?", "a time such as 90, 2:30:00 or 1-12"),
    "memory": (r"[1-9]\d*[KMGT]?", "an amount of memory such as 16G"),
    "cpus": (r"[1-9]\d*", "a number of processors"),
    "gpus": (r"([A-Za-z][\w.-]*:)?\d+", "a number of GPUs such as 1 or a100:1"),
    "constraint": (r"[A-Za-z0-9_][\w.&|*()\[\],-]*", "features of nodes such as skylake&ssd"),
}


def problem(name: str, value: str) -> str:
    """What is wrong with the value of a resource; empty if nothing is."""
    form, example = RESOURCES[name]
    return "" if re.fullmatch(form, value) else f"is not {example}"


def seconds(time: str) -> int:
    """The seconds of a time as Slurm writes it: minutes, M:S, H:M:S, D-H, D-H:M, D-H:M:S."""
    days, dash, rest = time.rpartition("-")
    numbers = [int(number) for number in rest.split(":")]
    units = (3600, 60, 1) if dash or len(numbers) > 2 else (60, 1)
    return int(days or 0) * 86400 + sum(n * u for n, u in zip(numbers, units, strict=False))
