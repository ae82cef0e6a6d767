"""Stack lists are read with includes and conditions; what is wrong has a file and a line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tykky import jobs
from tykky.errors import ConfigError, Exit, TykkyError
from tykky.files import Permissions
from tykky.lists.reading import StackList, Wanted, read
from tykky.lists.runs import Runs, Task
from tykky.repos import Repos
from tykky.resources import resource
from tykky.tools import slurm

HOST = "login3.cluster.site"


def write(place: Path, text: str, name: str = "site.yaml") -> Path:
    path = place / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def listed(place: Path, text: str, host: str = HOST) -> StackList:
    return read(write(place, text), host, place / "cache")


def by_spec(found: StackList) -> dict[str, Wanted]:
    return {str(wanted.spec): wanted for wanted in found.stacks}


def test_what_a_list_says_once_counts_for_all_its_stacks_unless_they_say_otherwise(
    tmp_path: Path,
) -> None:
    found = by_spec(
        listed(
            tmp_path,
            """
            arch: [x86_64, aarch64]
            root: {x86_64: /appl/x, aarch64: "/appl/{arch}"}
            settings: {squash.level: 6, mount_points: [/data, /scratch]}
            slurm: {partition: build, memory: 8G}
            stacks:
              - {spec: python-data@26.10 +jupyter, default: yes}
              - spec: snakemake
                arch: x86_64
                root: project
                settings: {squash.level: 19}
                slurm: {memory: 2G}
                hidden: true
                deprecated: {until: 2030-01-31, use: snakemake/9, reason: it is old}
            """,
        )
    )
    plain, own = found["python-data@26.10 +jupyter"], found["snakemake"]
    assert plain.arch == ("x86_64", "aarch64")
    assert (plain.root_for("x86_64"), plain.root_for("aarch64")) == ("/appl/x", "/appl/aarch64")
    assert plain.settings == {"squash.level": "6", "mount_points": "/data:/scratch"}
    assert (plain.slurm, plain.default, plain.hidden, plain.deprecated) == ({}, True, False, None)
    assert (own.arch, own.root_for("x86_64"), own.settings["squash.level"]) == (
        ("x86_64",),
        "project",
        "19",
    )
    assert own.slurm_of_list == {"partition": "build", "memory": "8G"}
    assert own.slurm == {"memory": "2G"}
    assert own.hidden and not own.default and own.deprecated is not None
    assert own.deprecated["until"] == "2030-01-31"
    assert (own.where.path.name, own.where.line) == ("site.yaml", 8)


def test_conditions_are_by_host_and_architecture(tmp_path: Path) -> None:
    text = """
    arch: [x86_64, aarch64]
    include: [{path: more.yaml, when: {arch: aarch64}}]
    stacks:
      - {spec: a, when: {host: "login*"}}
      - {spec: b, when: {host: [gpu1, gpu2]}}
      - {spec: c, when: {host: login3, arch: x86_64}}
    """
    write(tmp_path, "stacks: [d, {spec: e, when: {arch: x86_64}}]", "more.yaml")
    found = by_spec(listed(tmp_path, text))
    assert [name for name, wanted in found.items() if wanted.here] == ["d", "a", "c"]
    assert found["c"].arch == ("x86_64",) and found["d"].arch == ("aarch64",)


def test_the_list_that_includes_another_has_the_last_word(tmp_path: Path) -> None:
    write(tmp_path, "slurm: {time: 60}\nstacks: [a, {spec: b, hidden: true}]", "sub/common.yaml")
    write(tmp_path, "include: [common.yaml]\nroot: ./r", "sub/middle.yaml")
    found = by_spec(
        listed(tmp_path, "include: [sub/middle.yaml]\nstacks: [{spec: b, root: /other}, b]\n")
    )
    assert not found["b"].hidden
    assert found["a"].root_for("x86_64") == str(tmp_path / "sub/r")
    assert found["a"].slurm_of_list == {"time": "60"}


def test_a_list_is_included_from_a_repository_at_a_commit(tmp_path: Path) -> None:
    repo = tmp_path / "stacks.git"
    write(repo, "include: [../common.yaml]\nstacks: [a]\n", "site.yaml").rename(repo / "site.yaml")
    (repo / "lists").mkdir()
    (repo / "site.yaml").rename(repo / "lists/site.yaml")
    write(repo, "stacks: [{spec: b, default: true}]\n", "common.yaml")

    def git(*words: str) -> str:
        line = ["git", "-C", str(repo), "-c", "user.name=x", "-c", "user.email=x@y", *words]
        return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    commit = git("rev-parse", "HEAD")
    write(repo, "stacks: [moved]\n", "common.yaml")
    git("commit", "-qam", "two")
    include = "include: [{{git: ./stacks.git, commit: {}, path: {}}}]\n"
    found = listed(tmp_path, include.format(commit, "lists/site.yaml"))
    assert [*by_spec(found)] == ["b", "a"]
    # What was fetched once is there without the repository.
    repo.rename(tmp_path / "gone")
    assert listed(tmp_path, include.format(commit, "lists/site.yaml")) == found
    for number, path, cause in (
        (commit, "nope.yaml", "has no file 'nope.yaml'"),
        ("0" * 40, "lists/site.yaml", "does not give commit"),
        ("main", "lists/site.yaml", "at a commit, by its full number"),
    ):
        with pytest.raises(ConfigError, match=cause) as caught:
            listed(tmp_path, include.format(number, path))
        assert caught.value.where and caught.value.where.line == 1
    write(tmp_path / "gone", "include: [../../secret.yaml]\n", "common.yaml")
    repo = tmp_path / "gone"
    git("commit", "-qam", "three")
    text = f"include: [{{git: ./gone, commit: {git('rev-parse', 'HEAD')}, path: common.yaml}}]\n"
    with pytest.raises(ConfigError, match="leads out of the repository"):
        listed(tmp_path, text)


MISTAKES = {
    "stakcs: []": ("no 'stakcs'", "did you mean 'stacks'?"),
    "stacks: a": ("a list is wanted", ""),
    "stacks: [{root: /x}]": ("no spec", "spec: NAME"),
    "stacks: [A]": ("lower case", "'a'"),
    "stacks: [a, b c]": ("one spec is wanted", ""),
    "stacks:\n  - a\n  - spec: a": ("twice, first at", ""),
    "stacks: [{spec: a, arch: x86-64}]": ("no architecture", "did you mean 'x86_64'?"),
    "stacks: [{spec: a, default: perhaps}]": ("neither true nor false", ""),
    "stacks: [{spec: a, default: true, hidden: yes}]": ("hidden is not the default", "take out"),
    "stacks: [{spec: a, deprecated: {until: soon}}]": ("'soon' is no day", ""),
    "settings: {squash.levle: 3}": ("unknown configuration key", "did you mean"),
    "settings: {hooks: /tmp/x.py}": ("does not set hooks", "config set"),
    "settings: {module.after_change: rm}": ("does not set module.after_change", ""),
    "slurm: {memory: lots}": ("is not an amount of memory", ""),
    "slurm: {time: 2h}": ("is not a time", ""),
    "slurm: {constraint: 'a --wrap=x'}": ("is not features", ""),
    "root: some/where": ("relative path", "./some/where"),
    "include: [nope.yaml]": ("cannot be read", ""),
    "include: [site.yaml]": ("included by itself", ""),
    "include: [{git: x}]": ("no path", ""),
    "- a": ("written as 'name: value'", ""),
    "stacks: [a": ("not valid YAML", ""),
    "root: 1\nroot: 2": ("there twice", ""),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_answered_with_its_line(tmp_path: Path, text: str) -> None:
    cause, remedy = MISTAKES[text]
    with pytest.raises(TykkyError) as caught:
        listed(tmp_path, text + "\n")
    error = caught.value
    assert cause in error.cause and remedy in error.remedy, (error.cause, error.remedy)
    assert error.remedy and error.where is not None and error.where.line >= 1
    assert error.where.path.name == "site.yaml"


def test_a_list_that_others_may_write_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "stacks: []\n").chmod(0o666)
    with pytest.raises(TykkyError, match="the stack list"):
        read(tmp_path / "site.yaml", HOST, tmp_path)


def test_the_lists_that_come_with_tykky_name_recipes_that_do(tmp_path: Path) -> None:
    repos = Repos([resource("repo")])
    for path in resource("builds").glob("*.yaml"):
        assert [repos.select(w.spec) for w in read(path, HOST, tmp_path).stacks]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("1:30", 90), ("2:00:05", 7205), ("1-12", 129600), ("0-00:10", 600)],
)
def test_times_are_those_of_slurm(text: str, seconds: int) -> None:
    assert not jobs.problem("time", text)
    assert jobs.seconds(text) == seconds


def test_options_of_slurm_that_cannot_be_taken_apart_are_a_mistake(tmp_path: Path) -> None:
    for action in (slurm.through_srun, lambda o, w: slurm.through_sbatch(o, w, tmp_path)):
        with pytest.raises(TykkyError, match="No closing quotation") as caught:
            action("-p 'x", [])
        assert caught.value.code == Exit.USAGE


def test_a_run_that_is_none_is_said_in_words_of_its_own_and_bounded(tmp_path: Path) -> None:
    runs = Runs(tmp_path, Permissions())
    task = Task(1, "x@1", "x/1", "/r", "x86_64")
    file = runs.begin((task,), tmp_path / "list", "here").folder / "run.json"
    good = file.read_text()
    assert runs.one(1).tasks == (task,)
    for text, said in (
        ("[]", "it is none"),
        (good.replace('"user"', '"USER"'), "it has no 'user'"),
        (good.replace('"tasks": [', '"tasks": [1, '), "1 has no names"),
        (good.replace('"tasks": [', '"tasks": [' + 200_000 * "{}, "), "more tasks than any list"),
    ):
        file.write_text(text)
        with pytest.raises(TykkyError, match=said) as caught:
            runs.one(1)
        assert caught.value.code == Exit.DAMAGED and not [*runs.all()]
