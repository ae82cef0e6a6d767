"""Installations of the classic commands as generations: repeated, updated, and left again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.classic import Classic
from tests.compat.test_update import tree
from tykky.errors import Exit


def record(prefix: Path) -> dict[str, Any]:
    found = json.loads((prefix / ".tykky/current/record.json").read_text())
    assert isinstance(found, dict)
    return found


def seen(prefix: Path) -> dict[str, str]:
    """All that users see of an installation."""
    return {name: text for name, text in tree(prefix).items() if not name.startswith(".tykky")}


def test_the_same_inputs_give_the_same_image_at_every_prefix(classic: Classic) -> None:
    classic.write("site.yaml", "defaults: {composable: no, installation_path: /LOCAL_X}\n")
    classic.write("req.txt", "six==1.17.0\ntabulate==0.9.0\n")
    classic.write("post.sh", "echo post > $env_root/post\n")
    here = classic.with_env(CW_GLOBAL_YAML=str(classic.home / "site.yaml"))
    for prefix in ("a", "elsewhere/b"):
        here.sh(f"pip-containerize new --prefix {prefix} --post post.sh req.txt")
    first, second = (record(classic.home / name)["images"] for name in ("a", "elsewhere/b"))
    assert first == second


def test_updates_with_nothing_new_give_generations_that_work(classic: Classic, pip: Path) -> None:
    classic.sh(f"cp -a {pip} p; pip-containerize update p; pip-containerize update p")
    script = "import six, tabulate; print(six.__version__)"
    assert record(classic.home / "p")["generation"] == 3
    for number in (1, 2, 3):
        pinned = f'TYKKY_PINS=$(realpath p)={number} p/bin/python -c "{script}"'
        assert classic.says(pinned) == "1.17.0"
    assert seen(classic.home / "p").keys() >= seen(pip).keys()
    classic.sh("tykky verify")


def test_a_rollback_brings_back_packages_files_and_commands(classic: Classic, pip: Path) -> None:
    classic.sh(f"cp -a {pip} p")
    before = seen(classic.home / "p")
    packages = classic.says("p/bin/list-packages")
    classic.write("post.sh", "cp /bin/true $env_root/bin/added; rm $env_root/bin/tabulate\n")
    classic.write("req.txt", "six==1.16.0\npackaging\n")
    classic.write("env.sh", "export MORE=$HOME\n")
    classic.sh("pip-containerize update --post post.sh --environ env.sh -r req.txt p")
    classic.sh("p/bin/added; test ! -e p/bin/tabulate; test -e p/share/previous_input/1/env.sh")
    assert "packaging" in classic.says("p/bin/list-packages")
    assert classic.says("p/bin/_debug_exec sh -c 'echo $MORE'") == str(classic.home)
    classic.sh("tykky rollback ./p")
    assert seen(classic.home / "p") == before
    assert classic.says("p/bin/list-packages") == packages
    assert classic.says("echo 1 | p/bin/tabulate") == "-\n1\n-"
    assert classic.says("p/bin/_debug_exec sh -c 'echo -$MORE-'") == "--"
    classic.sh("pip-containerize update --environ env.sh p; p/bin/tabulate --help")
    assert classic.says("p/bin/_debug_exec sh -c 'echo $MORE'") == str(classic.home)
    assert record(classic.home / "p")["generation"] == 3


def test_errors_and_warnings_have_their_labels(classic: Classic) -> None:
    lines = {
        "pip-containerize new --prefix p none.txt": Exit.NOT_FOUND,
        "conda-containerize update nowhere": Exit.NOT_FOUND,
        "wrap-container --prefix p image": Exit.USAGE,
        "wrap-install --prefix p -w bin nowhere": Exit.NOT_FOUND,
    }
    for line, status in lines.items():
        said = classic.sh(line, status=int(status)).stderr.splitlines()
        assert said[0].startswith("tykky: error: "), line
        assert said[-1].startswith("  "), "there is no remedy"
    said = classic.sh("pip-containerize new --pyver 3 no", status=int(Exit.NOT_FOUND)).stderr
    assert said.startswith("tykky: warning: --pyver has no effect")
    assert "tykky: error: " in said
    quiet = "CW_LOG_LEVEL=0 pip-containerize new --pyver 3 no"
    assert "warning" not in classic.sh(quiet, status=int(Exit.NOT_FOUND)).stderr


def test_requirements_in_an_environment_file_count_from_its_folder(classic: Classic) -> None:
    classic.write("e/more.txt", "tabulate==0.9.0\n")
    pip = "[{pip: [-r more.txt]}, python, pip]"
    classic.write("e/env.yml", f"channels: [local]\ndependencies: {pip}\n")
    classic.sh("conda-containerize new --prefix p e/env.yml; p/bin/python -c 'import tabulate'")


def test_uninstall_leaves_what_else_is_in_a_prefix(classic: Classic) -> None:
    classic.sh(
        f"{_SOURCE}; mkdir -p mine/data; echo thesis > mine/thesis; cd mine; echo x > bin.txt"
    )
    classic.sh("cd mine; wrap-install -w bin ../src; bin/hi")
    done = classic.sh("cd mine; tykky uninstall ./; ls -A")
    assert done.stdout.split() == ["bin.txt", "data", "thesis"]
    assert "mine is left as it is" in done.stderr
    classic.sh("tykky gc --days 0; cat mine/thesis")


def test_a_prefix_within_another_install_is_refused(classic: Classic) -> None:
    classic.sh(
        f"{_SOURCE}; wrap-install -w bin --prefix p src; wrap-install -w bin --prefix p/in src"
    )
    root = classic.user.env["TYKKY_ROOT"]
    for prefix in ("p/.tykky", "p/bin/x", "p/share/x", root, f"{root}/store/x/1"):
        script = f"wrap-install -w bin --prefix {prefix} src || echo $?"
        done = classic.sh(script)
        assert done.stdout.strip() == str(int(Exit.CONFLICT)), prefix
        assert "error:" in done.stderr
    assert classic.says("tykky uninstall ./p; p/in/bin/hi") == "hi"


def test_an_installation_that_was_moved_is_known_where_it_is(classic: Classic) -> None:
    classic.sh(f"{_SOURCE}; wrap-install -w bin --prefix p src; mv p q")
    assert "q/1" in classic.says("tykky history ./q")
    assert classic.says("tykky info --json ./q")
    classic.sh("tykky uninstall ./q; [ ! -e q/bin ]")


#: A folder 'src' with one program.
_SOURCE = r"mkdir -p src/bin; printf '#!/bin/sh\necho hi\n' > src/bin/hi; chmod +x src/bin/hi"


def test_own_files_among_the_commands_stay_whatever_is_done(classic: Classic) -> None:
    classic.sh(f"{_SOURCE}; wrap-install -w bin --prefix p src")
    classic.sh("mkdir p/bin/mine; echo precious | tee p/bin/mine/f > p/bin/own")
    for words in ("tykky refresh ./p", "wrap-install -w bin --prefix p src", "tykky rollback ./p"):
        classic.sh(f"{words}; cat p/bin/own p/bin/mine/f")
    classic.sh("rm p/bin/hi; echo mine > p/bin/hi; tykky uninstall ./p")
    assert classic.says("ls p/bin").split() == ["hi", "mine", "own"]
    undo = "tykky uninstall --undo ./p"
    assert classic.says(f"{undo} || echo $?") == str(int(Exit.CONFLICT))
    classic.sh(
        f"mv p/bin/hi p/bin/kept; {undo}; p/bin/hi; cat p/bin/own p/bin/mine/f; tykky verify"
    )


def test_an_uninstall_that_could_not_go_on_is_finished_by_the_same_command(
    classic: Classic,
) -> None:
    classic.sh(f"{_SOURCE}; wrap-install -w bin --prefix p src")
    # As if it had been killed after its first step.
    classic.sh(
        "d=$TYKKY_ROOT/trash/$(basename $HOME)-p-1/.tykky; mkdir -p $d; mv p/.tykky/current $d"
    )
    classic.sh('tykky uninstall ./p; [ ! -e p/bin ]; [ -z "$(tykky find)" ]')
    classic.sh(
        "wrap-install -w bin --prefix q src; rm q/.tykky/current; tykky rollback ./q; q/bin/hi"
    )
