"""What a start costs: warm, the first one of a session, and many at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Row, Runner, Target, race
from benchmarks.subject import Subject
from tests.launcher.layers import make_layer
from tests.support import remove
from tykky.runtime.base import PINS, conf_path, image_path
from tykky.store import Place

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


LAYERS = {
    ("python -c pass", 1): Target("excess", 0.003),
    ("python -c pass", 3): Target("excess", 0.005),
    ("python -c 'import scipy.stats'", 1): Target("ratio", 1.05),
    ("python -c 'import scipy.stats'", 3): None,
}


def measure_layers(subject: Subject, place: Path) -> Iterator[Row]:
    """The same with layers on the image, each of which adds a package, against the image alone."""
    env = {0: subject.env}
    for count in (1, 3):
        pin = f"{subject.prefix}={_generation_with(subject, place, count)}"
        env[count] = {**subject.env, PINS: pin}
    for case in dict.fromkeys(case for case, _ in LAYERS):
        name, *arguments = PROGRAMS[case]
        words = [subject.stack / name, *arguments]
        budget = 2 * BUDGETS[case]
        done = race({str(n): Runner(words, env[n]) for n in env}, budget=budget)
        for count in (1, 3):
            named = f"{case}, {count} layer{'s' * (count > 1)}"
            yield done.row(
                "layered start", named, f"{count}", "0", "one image", LAYERS[case, count]
            )


def _generation_with(subject: Subject, place: Path, count: int) -> int:
    """The number of another generation of the stack, with so many layers on its image."""
    current = Place(subject.prefix).record()
    packages = next(subject.venv.parent.glob("lib/python3*/site-packages"))
    lines = conf_path(subject.prefix).read_text(encoding="utf-8").splitlines()
    (image,) = (line for line in lines if line.startswith("image "))
    lines[lines.index(f"generation {current.generation}")] = f"generation {(new := 100 + count)}"
    for number in range(count):
        lower, full = place / "lower", place / "full"
        for tree in (lower, full):
            (tree / packages.relative_to(subject.venv.parent)).mkdir(parents=True)
        package = full / packages.relative_to(subject.venv.parent) / f"extra{number}"
        for folder in (package, package.with_name(f"{package.name}-1.0.dist-info")):
            folder.mkdir()
            (folder / "__init__.py").touch()
        file = f"layer-{count}-{number}.sqfs"
        size = make_layer(lower, full, image_path(subject.prefix, file))
        lines.insert(lines.index(image) + 1 + number, f"layer {file} {size} {subject.prefix}")
        for tree in (lower, full):
            remove(tree)
    conf = conf_path(subject.prefix, f"{new}")
    conf.parent.mkdir()
    conf.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return new


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
