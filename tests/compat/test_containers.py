"""Variables for containers, which count where there is no container as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.classic import Classic

SPELLINGS = ["APPTAINER_BIND", "SINGULARITY_BIND", "APPTAINER_BINDPATH", "SINGULARITY_BINDPATH"]


@pytest.fixture(scope="module")
def data(settled: Classic) -> Path:
    """A directory with one file, and beside it another."""
    settled.sh("mkdir -p bound other; echo bound > bound/file; echo other > other/file")
    return settled.home / "bound"


@pytest.fixture(params=["native", "apptainer"])
def runtime(request: pytest.FixtureRequest, settled: Classic) -> Classic:
    return settled.with_env(TYKKY_RUNTIME=request.param)


@pytest.fixture(scope="module")
def either(settled: Classic, disk: Path) -> Path:
    """An installation that can be entered with both runtimes."""
    settled.with_env(TYKKY_RUNTIME="apptainer").sh("wrap-install --prefix ~/either -w bin tool")
    return settled.home / "either"


@pytest.mark.parametrize("name", SPELLINGS)
def test_binds_of_the_user_count(settled: Classic, disk: Path, data: Path, name: str) -> None:
    show = f"{disk}/bin/_debug_exec cat /seen/there/file"
    assert settled.says(f"{name}={data}/:/seen/there/ {show}") == "bound"
    assert settled.says(f"cd bound/..; {name}=bound:/seen/there {show}") == "bound"


def test_one_spelling_replaces_the_other(settled: Classic, disk: Path, data: Path) -> None:
    show = f"{disk}/bin/_debug_exec sh -c 'cat /a/file /b/file 2>/dev/null || true'"
    other = f"SINGULARITY_BIND={settled.home}/other:/b"
    assert settled.says(f"{other} APPTAINER_BIND={data}:/a {show}") == "bound"
    assert settled.says(f"{other} APPTAINER_BIND= {show}") == ""
    assert settled.says(f"{other} APPTAINER_BINDPATH={data}:/a {show}") == "bound\nother"
    twice = f"APPTAINER_BIND=' ,{data}:/a, ,' {show}"
    assert settled.says(twice) == "bound"
    twice = f"APPTAINER_BIND={data}:/a,{settled.home}/other:/a"
    assert settled.says(f"{twice} {show}") == "bound"


@pytest.mark.parametrize("seen", ["{home}/wide", "{home}"])
def test_a_bind_covers_a_directory_of_the_host(
    classic: Classic, disk: Path, data: Path, seen: str
) -> None:
    classic.sh(f"mkdir wide; cp -a {disk} wide/disk")
    covered = seen.format(home=classic.home)
    show = f"{classic.home}/wide/disk/bin/_debug_exec cat {covered}/file"
    assert classic.says(f"APPTAINER_BIND={data}:{covered} {show}") == "bound"
    tool = f"APPTAINER_BIND={data}:{covered} {classic.home}/wide/disk/bin/tool 1"
    assert classic.says(tool).startswith("tool 1")


def test_a_bind_may_be_read_only_and_an_image(settled: Classic, disk: Path, data: Path) -> None:
    write = f"{disk}/bin/_debug_exec sh -c 'touch /a/new 2>/dev/null && echo written; true'"
    assert settled.says(f"APPTAINER_BIND={data}:/a:ro {write}") == ""
    assert settled.says(f"APPTAINER_BIND={data}:/a:rw {write}") == "written"
    image = f"APPTAINER_BIND={disk}/img.sqfs:/pictures:image-src=/"
    assert settled.says(f"{image} {disk}/bin/_debug_exec cat /pictures/data") == "data"


def test_an_isolated_installation_sees_the_binds_of_the_user(
    runtime: Classic, wrapped: Path, data: Path
) -> None:
    show = f"{wrapped}/bin/hello cat /seen/file"
    assert runtime.says(f"APPTAINER_BIND={data}:/seen {show}") == "bound"


def test_a_bind_of_nothing_is_an_error(settled: Classic, disk: Path) -> None:
    done = settled.sh(f"SINGULARITY_BIND=/nowhere {disk}/bin/tool", status=125)
    assert "SINGULARITY_BIND has '/nowhere', which cannot be bound: No such file" in done.stderr
    done = settled.sh(f"APPTAINER_BIND=/tmp:there {disk}/bin/tool", status=125)
    assert "APPTAINER_BIND has 'there', which is no absolute path" in done.stderr
    done = settled.sh(f"APPTAINER_BIND=/tmp:/there:what {disk}/bin/tool", status=125)
    assert "'what', an option that is not known" in done.stderr


def test_binds_that_an_outer_container_has_left_are_forgotten(settled: Classic, disk: Path) -> None:
    stale = "APPTAINER_CONTAINER=/old.sif APPTAINER_BIND=/nowhere SINGULARITY_BIND=/nowhere"
    show = f"{disk}/bin/_debug_exec sh -c 'echo -$APPTAINER_BIND$SINGULARITY_BIND-'"
    assert settled.says(f"{stale} {show}") == "--"


def test_what_is_there_anyway_shares_the_mounts(settled: Classic, disk: Path, data: Path) -> None:
    show = f"{disk}/bin/_debug_exec readlink /proc/self/ns/mnt"
    with_, without, other = settled.says(
        f"APPTAINER_BIND={data},/tmp {show}; {show}; APPTAINER_BIND={data}:/a {show}"
    ).splitlines()
    assert with_ == without != other


def test_installations_call_each_other_with_binds(
    settled: Classic, pip: Path, disk: Path, wrapped: Path, data: Path
) -> None:
    call = f"{pip}/bin/_debug_exec {disk}/bin/_debug_exec cat /seen/file"
    assert settled.says(f"APPTAINER_BIND={data}:/seen {call}") == "bound"


def test_variables_for_the_inside_are_set_there(runtime: Classic, either: Path) -> None:
    show = f"{either}/bin/_debug_exec sh -c 'echo $COLOUR'"
    assert runtime.says(f"SINGULARITYENV_COLOUR=red COLOUR=no {show}") == "red"
    assert runtime.says(f"APPTAINERENV_COLOUR='a $b' {show}") == "a $b"
    both = "APPTAINERENV_COLOUR=blue SINGULARITYENV_COLOUR=red"
    assert runtime.says(f"{both} {show}") == "blue"
    own = f"SINGULARITYENV_install_root=/mine {either}/bin/_debug_exec sh -c 'echo $install_root'"
    assert runtime.says(own) != "/mine"


@pytest.mark.parametrize("name", ["PATH", "LD_LIBRARY_PATH"])
def test_lists_for_the_inside_come_before_those_of_the_caller(
    runtime: Classic, either: Path, name: str
) -> None:
    show = f"{either}/bin/_debug_exec /bin/sh -c 'echo ${name}'"
    plain = runtime.says(f"export {name}=/one:/usr/bin:/bin; {show}")
    given = runtime.says(f"export SINGULARITYENV_{name}=:/given::/more: {name}=/one; {show}")
    assert plain.startswith("/one:")
    assert given.startswith("/given:/more:/one")
    assert "::" not in given


def test_lists_for_an_isolated_inside_leave_out_those_of_the_caller(
    runtime: Classic, wrapped: Path
) -> None:
    given = "LD_LIBRARY_PATH=/host SINGULARITYENV_LD_LIBRARY_PATH=/given"
    shown = runtime.says(f"{given} {wrapped}/bin/hello env").splitlines()
    (libraries,) = [line for line in shown if line.startswith("LD_LIBRARY_PATH=")]
    assert libraries.startswith("LD_LIBRARY_PATH=/given")
    assert "/host" not in libraries


def test_programs_are_told_that_they_are_inside(runtime: Classic, either: Path) -> None:
    show = "sh -c 'echo $_CW_IN_CONTAINER $_CW_IS_ISOLATED'"
    assert runtime.says(f"{either}/bin/_debug_exec {show}") == "Yes no"


def test_extra_mounts_count_with_both_runtimes(
    runtime: Classic, either: Path, disk: Path, data: Path
) -> None:
    more = f"{disk}/img.sqfs:/pictures:image-src=/,{data}:/extra-place"
    show = f"{either}/bin/_debug_exec cat /pictures/data /extra-place/file"
    assert runtime.says(f"CW_EXTRA_BIND_MOUNTS={more} {show}") == "data\nbound"
