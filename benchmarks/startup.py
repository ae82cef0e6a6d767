"""What a start costs: warm, the first one of a session, and many at once."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measure import Row, Runner, Target, race
from benchmarks.subject import Subject

PROGRAMS = {
    "true": ["true"],
    "python -c pass": ["python", "-c", "pass"],
    "python -c 'import numpy'": ["python", "-c", "import numpy"],
    "python -c 'import scipy.stats'": ["python", "-c", "import scipy.stats"],
}
TARGETS = {
    "true": Target("excess", 0.0015),
    "python -c pass": Target("ratio", 1.10),
    "python -c 'import numpy'": Target("ratio", 1.05),
}
#: Seconds to spend on each, and how seldom the container, which is so much slower, has its turn.
BUDGETS = dict(zip(PROGRAMS, (8, 20, 25, 20), strict=True))
EVERY = dict(zip(PROGRAMS, (10, 10, 3, 1), strict=True))
PLAIN = "venv on disk"
CROWD = 64


def measure_warm(subject: Subject) -> Iterator[Row]:
    """The time from a command's start to its end: through a stack, on disk, in a container."""
    for case, (name, *arguments) in PROGRAMS.items():
        runners = {
            "disk": Runner([subject.venv / name, *arguments], subject.env),
            "stack": Runner([subject.stack / name, *arguments], subject.env),
        }
        if subject.container:
            inside = [*subject.container, f"/bench/venv/bin/{name}", *arguments]
            runners["container"] = Runner(inside, subject.env, every=EVERY[case])
        done = race(runners, budget=BUDGETS[case])
        yield done.row("start", case, "stack", "disk", PLAIN, TARGETS.get(case))
        if subject.container:
            yield done.row("start", case, "stack", "container", "apptainer exec")


def measure_first(subject: Subject) -> Iterator[Row]:
    """The same where no mount is there yet: keeper, server and mount are made first."""
    for case, (name, *arguments) in list(PROGRAMS.items())[:3]:
        command = [subject.stack / name, *arguments]
        done = race(
            {
                "disk": Runner([subject.venv / name, *arguments], subject.env),
                "stack": Runner(command, subject.env, before=subject.end),
            },
            budget=8,
        )
        yield done.row("first start", case, "stack", "disk", PLAIN, Target("excess", 0.010))


def measure_crowd(subject: Subject) -> Iterator[Row]:
    """64 commands at once, with the mount there and without it."""
    command = ["python", "-c", "import numpy"]
    there, plain = ([place / command[0], *command[1:]] for place in (subject.stack, subject.venv))
    done = race(
        {
            "disk": Runner(plain, subject.env),
            "first": Runner(there, subject.env, before=subject.end),
            "stack": Runner(there, subject.env),
        },
        budget=50,
        at_once=CROWD,
    )
    case = f"{CROWD} x python -c 'import numpy'"
    yield done.row("at once", case, "stack", "disk", PLAIN, Target("ratio", 1.10))
    yield done.row("at once", f"{case}, first", "first", "disk", PLAIN, Target("ratio", 1.10))
