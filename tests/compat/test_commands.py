"""The four command lines: what they take, and how they answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.classic import PROGRAMS, Classic
from tests.stacks import TINY, Site
from tests.support import DOWNLOADS
from tykky.errors import Exit
from tykky.resources import resource


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_arguments_a_command_explains_itself(settled: Classic, program: str) -> None:
    done = settled.sh(program)
    assert done.stdout.startswith(f"usage: {program}")
    assert settled.says(f"{program} --help") == done.stdout.rstrip("\n")


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("pip-containerize new --prefix x missing.txt", Exit.NOT_FOUND, "no file missing.txt"),
        ("conda-containerize new --prefix x missing.yml", Exit.NOT_FOUND, "no file missing.yml"),
        ("pip-containerize update nowhere", Exit.NOT_FOUND, "no installation in"),
        ("wrap-container --prefix x /bin/sh", Exit.USAGE, "which programs"),
        ("wrap-container -w bin --prefix x /bin/sh", Exit.USAGE, "not an absolute path"),
        ("wrap-container -w /bin/x --prefix x no.sif", Exit.NOT_FOUND, "there is no container /"),
        ("wrap-install --prefix x .", Exit.USAGE, "which programs"),
        ("wrap-install --prefix x -w bin missing", Exit.NOT_FOUND, "no directory"),
        ("pip-containerize new --uv --slim r", Exit.USAGE, "not allowed with"),
        ("conda-containerize new --bogus e", Exit.USAGE, "unrecognized"),
        ("pip-containerize", 0, ""),
    ],
)
def test_mistakes_are_answered_in_words(
    settled: Classic, line: str, status: int, words: str
) -> None:
    done = settled.sh(line, status=int(status))
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (settled.home / "x").exists()


def test_pip_environment_has_its_packages_and_their_commands(settled: Classic, pip: Path) -> None:
    assert settled.says(f"{pip}/bin/python -c 'import tabulate; print(tabulate.__version__)'")
    assert settled.says(f"printf 'a b\\n' | {pip}/bin/tabulate") == "-  -\na  b\n-  -"
    assert "six" in settled.says(f"{pip}/bin/pip list")


def test_options_may_be_abbreviated(settled: Classic, pip: Path) -> None:
    assert settled.says(f"{pip}/bin/_debug_exec sh -c 'cat $install_root/post'") == "post"


def test_conda_environment_has_conda_and_pip_packages(settled: Classic, conda: Path) -> None:
    script = "import sys, tabulate; print(tabulate.__version__, sys.version_info[:2])"
    assert settled.says(f'{conda}/bin/python -c "{script}"') == "0.9.0 (3, 11)"


def test_a_list_of_packages_works_as_well(classic: Classic) -> None:
    classic = classic.with_env(TYKKY_CONDA_CHANNELS="local")
    classic.write("list.txt", "six=1.17\npython\n")
    classic.sh("conda-containerize new --mamba --prefix c list.txt")
    assert classic.says("c/bin/python -c 'import six; print(six.__version__)'") == "1.17.0"


def test_uv_without_mamba_is_said_to_have_no_effect(classic: Classic) -> None:
    done = classic.sh("conda-containerize new --uv missing.yml", status=int(Exit.NOT_FOUND))
    assert "--uv has no effect without --mamba" in done.stderr


def test_pyver_alone_is_said_to_have_no_effect(classic: Classic) -> None:
    done = classic.sh("pip-containerize new --pyver 3.12 no", status=int(Exit.NOT_FOUND))
    assert "--pyver has no effect without --uv or --slim" in done.stderr


def test_wrapped_container_runs_its_programs(settled: Classic, wrapped: Path) -> None:
    assert settled.says(f"{wrapped}/bin/hello") == f"hello from {wrapped}/bin/hello"
    assert sorted(path.name for path in (wrapped / "bin").iterdir()) == [
        *("_debug_exec", "_debug_shell", "hello", "second", "third"),
    ]


def test_a_wrapped_container_runs_in_apptainer_as_well(settled: Classic, wrapped: Path) -> None:
    shown = settled.says(f"TYKKY_RUNTIME=apptainer {wrapped}/bin/hello env")
    assert "GREETING=good day" in shown


def test_wrapped_installation_runs_its_programs(settled: Classic, disk: Path) -> None:
    assert settled.says(f"{disk}/bin/tool 'a  b' ''") == f"tool a  b  from {disk}/bin/tool"
    assert settled.says("mv tool away; disk/bin/tool 1; mv away tool").startswith("tool 1")


def test_mask_lets_an_installation_appear_at_its_own_path(classic: Classic) -> None:
    classic.sh(
        "mkdir -p t/bin; echo original > t/data;"
        """printf '#!/bin/sh\\ncat %s/t/data\\n' "$HOME" > t/bin/show; chmod +x t/bin/show;"""
        "wrap-install --mask --prefix p -w $HOME/t/bin t; echo changed > t/data"
    )
    assert classic.says("p/bin/show; cat t/data") == "original\nchanged"


def test_installations_are_found_in_the_users_own_database(settled: Classic, pip: Path) -> None:
    found = json.loads(settled.says("tykky find --json"))["result"]
    (entry,) = [entry for entry in found if entry["prefix"] == str(pip)]
    assert (entry["kind"], entry["name"]) == ("venv", "pip")


def test_the_prefix_is_this_directory_unless_it_is_given(classic: Classic) -> None:
    classic.sh(
        "mkdir -p here t/bin; printf '#!/bin/sh\\necho yes\\n' > t/bin/x; chmod +x t/bin/x;"
        "cd here; wrap-install -w bin ../t"
    )
    assert classic.says("here/bin/x") == "yes"


def test_a_prefix_with_something_else_in_it_is_refused(classic: Classic) -> None:
    classic.sh("mkdir -p p/bin t/bin p/lib; touch p/bin/mine t/bin/x; chmod +x t/bin/x")
    done = classic.sh("wrap-install -w bin --prefix p t", status=int(Exit.CONFLICT))
    assert "has a 'bin' of something else in it: mine\n" in done.stderr
    assert classic.says("ls p p/bin") == "p:\nbin\nlib\n\np/bin:\nmine"
    (said,) = [line for line in done.stderr.splitlines() if "ELSEWHERE" in line]
    classic.sh(f"{said.split(chr(39))[1].replace('ELSEWHERE', 'moved')}; ls moved/mine")
    classic.sh("wrap-install -w bin --prefix p t; touch p/bin/more; tykky uninstall p")
    done = classic.sh("wrap-install -w bin --prefix p t", status=int(Exit.CONFLICT))
    assert "in it: more\n" in done.stderr


def test_a_prefix_in_which_tykky_keeps_its_store_is_refused(classic: Classic) -> None:
    # The default prefix is the working directory, and the default root is below the home.
    classic = classic.with_env(TYKKY_ROOT=f"{classic.home}/.tykky")
    classic.sh("mkdir -p t/bin; touch t/bin/x; chmod +x t/bin/x; wrap-install -w bin --prefix p t")
    done = classic.sh("wrap-install -w bin t", status=int(Exit.CONFLICT))
    assert "Tykky keeps all others in '.tykky' in it" in done.stderr
    assert "--prefix DIR" in done.stderr
    classic.sh("touch common.sh; wrap-install -w bin t", status=int(Exit.CONFLICT))
    assert classic.says("tykky find --format '{name}'; ls -d bin 2>/dev/null || true") == "p"


def test_two_programs_of_one_name_are_warned_of(classic: Classic) -> None:
    done = classic.sh(
        'mkdir -p t/a t/b; for d in a b; do printf "#!/bin/sh\\necho $d\\n" > t/$d/x;'
        "chmod +x t/$d/x; done; wrap-install -w a,b --prefix p t"
    )
    assert "there are two programs 'x'" in done.stderr
    assert classic.says("p/bin/x") == "a"


def test_a_path_without_programs_is_a_warning_while_another_has_some(classic: Classic) -> None:
    classic.sh("mkdir -p t/bin t/none; touch t/bin/x; chmod +x t/bin/x")
    done = classic.sh("wrap-install -w none --prefix p t", status=int(Exit.NOT_FOUND))
    assert "error: there are no programs at" in done.stderr
    assert not (classic.home / "p").exists()
    done = classic.sh("wrap-install -w none,bin --prefix p t")
    assert "warning: there are no programs at" in done.stderr
    assert "x" in classic.says("ls p/bin")
    assert (
        "warning" not in classic.sh("CW_LOG_LEVEL=0 wrap-install -w none,bin --prefix q t").stderr
    )


def test_what_was_deleted_is_not_found_any_more(classic: Classic) -> None:
    classic.sh("mkdir -p t/bin; touch t/bin/x; chmod +x t/bin/x; wrap-install -w bin --prefix p t")
    assert classic.says("tykky find --format '{name} {prefix}'") == f"p {classic.home}/p"
    classic.sh("tykky verify; tykky refresh p; p/bin/_debug_exec true")
    classic.sh("rm -r p; tykky verify")
    assert classic.says("tykky find --format '{prefix}'") == ""


def test_tykky_uninstalls_what_the_commands_made(classic: Classic) -> None:
    classic.sh("mkdir -p t/bin; touch t/bin/x; chmod +x t/bin/x; wrap-install -w bin --prefix p t")
    classic.sh("tykky uninstall p; tykky gc --days 0")
    assert not (classic.home / "p").exists()


def test_pip_comes_with_python_as_with_conda(classic: Classic) -> None:
    # Named or not: here it comes with what needs it.
    classic.write("env.yml", "channels: [local]\ndependencies: [six]\n")
    classic.sh("conda-containerize new --prefix c env.yml")
    assert classic.says("c/bin/pip --version").startswith("pip 24.0")
    classic.write("data.yml", "channels: [local]\ndependencies: [activated]\n")
    classic.sh("conda-containerize new --prefix d data.yml")
    assert not (classic.home / "d/bin/pip").exists()


def test_the_python_of_a_stack_is_no_base(classic: Classic, conda: Path) -> None:
    classic.write("req.txt", "six\n")
    site = Site(classic.user, classic.place / "repo")
    site.write("tiny", TINY)
    site("install", "tiny")
    for bin in (site.prefix("tiny") / "bin", conda / "bin"):
        line = f"PATH={bin}:$PATH pip-containerize new --prefix p req.txt"
        done = classic.sh(line, status=int(Exit.CONFLICT))
        assert f"the first python3 on PATH is one of another installation: {bin}" in done.stderr
        assert "module unload" in done.stderr and "--uv" in done.stderr
    # One on top of a stack that is based on this stack's own files is not there inside, either.
    classic.sh(f"{conda}/bin/python3 -m venv v")
    line = "PATH=$HOME/v/bin:$PATH pip-containerize new --prefix p req.txt"
    classic.sh(line, status=int(Exit.CONFLICT))
    assert not (classic.home / "p").exists()


LIBRARY = """\
mkdir -p t/bin t/lib
echo 'int f(void) { return 7; }' > f.c; cc -shared -o t/lib/libtykky7.so f.c
code='import ctypes; print(ctypes.CDLL("libtykky7.so").f())'
printf '#!/usr/bin/env python3\n%s\n' "$code" > t/bin/seven
chmod +x t/bin/seven
"""


def test_libraries_beside_programs_are_loaded_by_name(classic: Classic) -> None:
    classic.sh(LIBRARY + "wrap-install -w bin --prefix p t; mv t away")
    assert classic.says("p/bin/seven") == "7"
    assert classic.says("p/bin/_debug_exec sh -c 'echo $LD_LIBRARY_PATH:; echo $install_root/lib:'")
    first, own = classic.says(
        "LD_LIBRARY_PATH=/mine p/bin/_debug_exec sh -c 'echo $LD_LIBRARY_PATH; echo $install_root'"
    ).splitlines()
    assert first == f"{own}/lib:/mine"
    classic.write("no.yaml", "add_ld: no\n")
    classic.sh("wrap-install -w bin --prefix q -y no.yaml away")
    assert classic.says("q/bin/_debug_exec sh -c 'echo $LD_LIBRARY_PATH'") == ""


def test_a_masked_installation_may_take_the_place_of_the_original(classic: Classic) -> None:
    classic.sh(
        "mkdir -p t/bin t/more; echo original > t/data;"
        """printf '#!/bin/sh\ncat %s/t/data\n' "$HOME" > t/bin/show; cp t/bin/show t/more/other;"""
        "chmod +x t/bin/* t/more/*; export TYKKY_RUNTIME=apptainer;"
        "wrap-install --mask --prefix p -w bin,more t;"
        "mv t t.orig; echo changed > t.orig/data; mv p t"
    )
    run = "t/bin/show; t/bin/other; cd t/bin; ./show; $HOME/t/bin/_debug_exec $HOME/t/more/other"
    for runtime in ("native", "apptainer"):
        assert (
            classic.says(f"export TYKKY_RUNTIME={runtime}; {run}") == "original\n" * 3 + "original"
        )
    # Beside it, or in it, it goes on as well.
    classic.sh("mv t p; mv t.orig t")
    native = "export TYKKY_RUNTIME=native"
    assert classic.says(f"{native}; p/bin/show; mv p t/p; t/p/bin/show") == "original\noriginal"


@pytest.mark.parametrize("how", ["", "--mask"])
def test_a_wrapped_virtual_environment_has_its_packages(classic: Classic, how: str) -> None:
    classic.sh(
        "/usr/bin/python3 -m venv --without-pip v;"
        "echo 'word = 1' > $(echo v/lib/python3.*/site-packages)/mine.py;"
        f"wrap-install -w bin {how} --prefix p v"
    )
    said = classic.says("p/bin/python -c 'import mine, sys; print(mine.word, sys.prefix)'")
    assert said == f"1 {classic.home}/p"


def test_nothing_is_written_through_the_links_of_what_is_wrapped(classic: Classic) -> None:
    classic.sh("mkdir -p precious t/tools mine/bin; touch t/tools/x; chmod +x t/tools/x")
    classic.sh(
        "ln -s $HOME/precious t/bin; ln -s $HOME/kept mine/bin/_debug_exec; cp -r t/tools mine"
    )
    classic.write("bound.yaml", "installation_path: prefix\n")
    classic.sh(
        "wrap-install --mask -w tools --prefix p t; wrap-install --mask -w tools --prefix q mine"
    )
    classic.sh("p/bin/x; q/bin/x")
    bound = "wrap-install -y bound.yaml -w tools --prefix r t"
    assert "leads out of it" in classic.sh(bound, status=int(Exit.FINISH)).stderr
    assert classic.says("ls precious; ls kept 2>/dev/null || true") == ""


def test_what_a_copy_names_of_the_original_is_warned_of(classic: Classic) -> None:
    classic.sh(
        """mkdir -p t/bin; printf '#!/bin/sh\ncat %s/t/data\n' "$HOME" > t/bin/show;"""
        """printf '#!/bin/sh\ncat %s/t2/data\n' "$HOME" > t/bin/plain; chmod +x t/bin/*"""
    )
    done = classic.sh("wrap-install -w bin --prefix p t")
    assert f"warning: bin/show names {classic.home}/t," in done.stderr and "--mask" in done.stderr
    assert "warning" not in classic.sh("wrap-install --mask -w bin --prefix q t").stderr
    classic.write(
        "post.sh", 'sed -i "s,$HOME/t,$CW_INSTALLATION_PATH," $CW_INSTALLATION_PATH/bin/*\n'
    )
    assert "warning" not in classic.sh("wrap-install --post post.sh -w bin --prefix r t").stderr


@pytest.fixture(scope="module")
def debian() -> str:
    return f"debian:{resource('builds') / 'debian-12.txt'}"


def test_a_python_environment_in_a_container_is_isolated(classic: Classic, debian: str) -> None:
    classic = classic.with_env(TYKKY_BASES_DIR=str(DOWNLOADS / "bases"))
    classic.write("req.txt", "six\n")
    wanted = "requirements_file: req.txt\ninstallation_prefix: p\nisolate: yes\n"
    classic.write("slim.yaml", f"{wanted}container_src: {debian}\n")
    classic.sh("pip-containerize advanced slim.yaml")
    script = "import os, six, sys; print(sys.prefix, os.path.exists('/usr/bin/gcc'))"
    for runtime in ("native", "apptainer"):
        shown = classic.says(f'TYKKY_RUNTIME={runtime} p/bin/python -c "{script}"')
        assert shown == f"{classic.home}/p False"
    classic.sh(
        "p/bin/python -m venv v; v/bin/python -c 'import sys; assert sys.prefix[-1] == \"v\"'"
    )
    # The image's own PATH, and not the caller's; what is on top of it comes first.
    path = "import os; print(os.environ['PATH'])"
    shown = {
        how: classic.says(f'PATH=/mine:$PATH {how} -c "{path}"')
        for how in (
            "p/bin/python",
            "v/bin/python",
            "TYKKY_RUNTIME=apptainer v/bin/python",
            "PATH=~/v/bin:$PATH python",
        )
    }
    first = f"{classic.home}/v/bin:"
    own = shown.pop("p/bin/python")
    assert own.startswith(f"{classic.home}/p/bin:/usr/local/sbin:") and "/mine" not in own
    assert set(shown.values()) == {first + own}
    classic.write("more.txt", "tabulate\n")
    classic.sh("pip-containerize update -r more.txt p; p/bin/tabulate --help")


def test_slim_takes_the_image_of_the_version(classic: Classic) -> None:
    classic.write("req.txt", "six\n")
    for words, image in (("", "python:slim"), ("--pyver 3.12", "python:3.12-slim")):
        done = classic.sh(
            f"export https_proxy=http://127.0.0.1:9;"
            f"pip-containerize new --slim {words} --prefix p req.txt",
            status=None,
        )
        assert done.returncode == Exit.NETWORK
        assert f"error: the image {image} cannot be had" in done.stderr
        assert not (classic.home / "p").exists()
