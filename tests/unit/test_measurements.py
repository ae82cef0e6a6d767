"""The page of measurements says what was measured, and a start's calls are told apart."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import report
from benchmarks.calls import place_of, read_trace
from benchmarks.measure import Row, Target

PREFIX = Path("/appl/s/1")
TRACE = """\
execve("/appl/s/1/bin/true", ["true"], 0x7 /* 5 vars */) = 0
poll([{fd=0</dev/null>, events=0}], 1, 0) = 0 (Timeout)
readlink("/proc/self/exe", "/appl/s/1/bin/true", 4096) = 18
openat(AT_FDCWD</home/u>, "/appl/s/1/.tykky/launch.conf", O_EXCL) = 3</appl/s/1/.tykky/launch.conf>
mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f1
read(3</appl/s/1/.tykky/launch.conf>, "# How \\"x\\"", 8192) = 235
close(3</appl/s/1/.tykky/launch.conf>) = 0
readlinkat(4</dev/shm/tykky-1>, "0123456789abcdef0123456789abcdef", "pid=5", 128) = 55
setns(5<mnt:[4026532181]>, CLONE_NEWNS) = 0
chdir("/home/u") = 0
stat("/appl/s/1/bin/true", {st_mode=S_IFREG|0755}) = 0
execve("/appl/s/1/bin/true", ["true"], 0x7 /* 5 vars */) = 0
openat(AT_FDCWD</home/u>, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3</etc/ld.so.cache>
mmap(NULL, 45435, PROT_READ, MAP_PRIVATE, 3</etc/ld.so.cache>, 0) = 0x7f2
openat(AT_FDCWD</home/u>, "/appl/s/1/lib/libx.so", O_RDONLY|O_CLOEXEC) = 3</appl/s/1/lib/libx.so>
exit_group(0) = ?
+++ exited with 0 +++
"""


def test_calls_of_the_launcher_are_told_from_those_of_the_program() -> None:
    start = read_trace(TRACE, PREFIX)
    assert [(call.name, call.by_name) for call in start.launcher] == [
        ("readlink", True),
        ("openat", True),
        ("read", False),
        ("close", False),
        ("readlinkat", True),
        ("setns", False),
        ("chdir", True),
    ]
    assert [call.file for call in start.program] == ["/etc/ld.so.cache", "/etc/ld.so.cache"]
    places = [place_of(call.file, PREFIX) for call in start.launcher]
    assert places == ["/proc", "prefix", "prefix", "prefix", "registry", "/proc", "elsewhere"]


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target("ratio", 1.10), True),
        (Target("ratio", 1.09), False),
        (Target("excess", 1.0), True),
        (Target("excess", 0.9), False),
        (Target("value", 11.0), True),
        (Target("value", 10.9), False),
        (None, None),
    ],
)
def test_a_target_is_met_up_to_its_limit(target: Target | None, met: bool | None) -> None:
    assert Row("start", "true", 11.0, "peer", 10.0, target=target).is_met is met


def test_the_page_has_the_figures_that_were_measured() -> None:
    run = json.loads(report.DATA.read_text(encoding="utf-8"))
    for path, made in ((report.PAGE, report.tables(run)), (report.README, report.summary(run))):
        page = path.read_text(encoding="utf-8")
        assert page == report.page_with(page, made), "run: make measurements"
    assert report.PICTURE.read_text(encoding="utf-8") == report.plot(run), "run: make measurements"


def test_each_missed_target_is_said() -> None:
    run = json.loads(report.DATA.read_text(encoding="utf-8"))
    wanted = [row for row in run["results"] if row["target"]]
    assert wanted
    run["results"] = [{**row, "met": False} for row in wanted]
    assert report.tables(run).count("**missed**") == len(wanted)


def test_the_picture_is_well_formed_and_has_a_bar_for_each_value() -> None:
    run = json.loads(report.DATA.read_text(encoding="utf-8"))
    picture = ElementTree.fromstring(report.plot(run))
    name = "{http://www.w3.org/2000/svg}"
    bars = [bar for bar in picture.iter(f"{name}rect") if bar.get("class")]
    assert {bar.get("class") for bar in bars} == {"tykky", "plain", "apptainer"}
    assert all(0 < float(bar.get("width", "0")) <= 330 for bar in bars)
