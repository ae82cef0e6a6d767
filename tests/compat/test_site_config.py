"""The configuration files and variables of the classic commands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tests.classic import Classic
from tykky.errors import Exit

SHIPPED = Path(__file__).parents[2] / "configs"


@pytest.fixture
def tool(classic: Classic) -> Classic:
    """Somebody with a small tool to wrap."""
    classic.sh(
        "mkdir -p t/bin; printf '#!/bin/sh\\necho tool\\n' > t/bin/tool; chmod +x t/bin/tool;"
        "echo text > t/bin/data"
    )
    return classic


def site(tool: Classic, text: str) -> Classic:
    return tool.with_env(CW_GLOBAL_YAML=str(tool.write("site.yaml", text)))


def conf(tool: Classic) -> dict[str, object]:
    values = yaml.safe_load((tool.home / "p/share/conf.yaml").read_text())
    assert isinstance(values, dict)
    return values


WRAP = "wrap-install -w bin --prefix p t"


def test_defaults_give_way_to_the_user_and_force_does_not(tool: Classic) -> None:
    here = site(
        tool,
        "defaults: {installation_path: /SITE, sqfs_image: site.sqfs, env_name: e}\n"
        "force: {composable: no, wrap_all: yes}\n",
    )
    here.write("mine.yaml", "sqfs_image: mine.sqfs\nwrap_all: no\n")
    here.sh(WRAP + " -y mine.yaml")
    assert conf(here)["installation_path"] == "/SITE"
    assert (here.home / "p/mine.sqfs").exists()
    assert (here.home / "p/bin/data").exists()


def test_lists_are_put_before_and_after_those_of_the_user(tool: Classic) -> None:
    here = site(
        tool,
        "defaults: {}\nprepends: {post_install: ['echo first >> $CW_INSTALLATION_PATH/said']}\n"
        "appends:\n  post_install:\n  - echo last >> $CW_INSTALLATION_PATH/said\n",
    )
    here.write("post.sh", "echo middle >> $CW_INSTALLATION_PATH/said\n")
    here.sh(WRAP + " --post post.sh")
    said = here.says("p/bin/_debug_exec sh -c 'cat $install_root/said'")
    assert said == "first\nmiddle\nlast"


def test_variables_in_values_are_replaced(tool: Classic) -> None:
    here = site(
        tool, "defaults:\n  installation_prefix: $HOME/${WHERE}\n  installation_path: /$USER\n"
    )
    here.sh("cd t; WHERE=p wrap-install -w bin .", status=0)
    assert str(conf(here)["installation_path"]).startswith(f"/{here.user.env['USER']}_")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("defaults: {sqfs_imgae: x}\n", "did you mean 'sqfs_image'?"),
        ("defualts: {}\n", "did you mean 'defaults'?"),
        ("defaults: {isolate: perhaps}\n", "'isolate' is yes or no"),
        ("defaults: {sqfs_image: ../x}\n", "plain name of a file"),
        ("defaults: [\n", "not valid YAML"),
        ("defaults: {num_cpus: many}\n", "is a number"),
        ("defaults: {installation_path: relative}\n", "absolute path"),
    ],
)
def test_a_wrong_configuration_is_an_error(tool: Classic, text: str, words: str) -> None:
    done = site(tool, text).sh(WRAP, status=int(Exit.CONFIG))
    assert words in done.stderr
    assert not (tool.home / "p").exists()


@pytest.mark.parametrize("excluded", ["[/mnt, /srv]", "/mnt"])
def test_keys_that_have_no_effect_are_accepted_and_said_so(tool: Classic, excluded: str) -> None:
    tool.write("old.yaml", f"conda_version: latest\nexcluded_mount_points: {excluded}\n")
    done = tool.sh(WRAP + " --yaml old.yaml")
    assert "warning: 'conda_version' has no effect" in done.stderr
    assert "warning: 'excluded_mount_points' has no effect" in done.stderr


@pytest.mark.parametrize(
    ("keys", "count"),
    [("num_cpus: 1", 1), ("num_cpus: 64\nmax_num_cpus: 1", 1), ("num_cpus: 0", 0), ("", 4)],
)
def test_as_many_processors_are_used_as_is_asked_for(tool: Classic, keys: str, count: int) -> None:
    tool.write("mine.yaml", keys or "add_ld: no\n")
    there = len(os.sched_getaffinity(0))
    real = tool.says("PATH=$PATH:/usr/sbin:/sbin; command -v mksquashfs")
    tool.write("own/mksquashfs", f'#!/bin/sh\necho "$@" > ~/said\nexec {real} "$@"\n').chmod(0o755)
    tool.sh(f"PATH=~/own:$PATH {WRAP} -y mine.yaml")
    words = (tool.home / "said").read_text().split()
    assert words[words.index("-processors") + 1] == str(min(count or there, there))


@pytest.mark.parametrize(
    "file", sorted(SHIPPED.glob("examples/classic/*.yaml")), ids=lambda f: f.stem
)
def test_the_examples_for_sites_work(tool: Classic, file: Path) -> None:
    tool.with_env(CW_GLOBAL_YAML=str(file)).sh(WRAP)
    assert tool.says("p/bin/tool") == "tool"


def test_advanced_takes_everything_from_a_file(classic: Classic) -> None:
    classic.write("req.txt", "six\n")
    classic.write(
        "all.yaml",
        "requirements_file: req.txt\ninstallation_prefix: p\n"
        "post_install: ['touch $CW_INSTALLATION_PATH/made']\n"
        "extra_envs: [{type: set, name: COLOUR, value: blue},"
        " {type: prepend, name: LIST, value: first},"
        " {type: append, name: LIST, value: last}]\n",
    )
    classic.sh("pip-containerize advanced all.yaml")
    shown = classic.says("LIST=old p/bin/_debug_exec sh -c 'echo $COLOUR $LIST; ls $install_root'")
    assert shown.splitlines()[0] == "blue first:old:last"
    assert "made" in shown


def test_advanced_makes_conda_environments_too(classic: Classic) -> None:
    classic.write("env.yml", "channels: [local]\ndependencies: [activated]\n")
    classic.write("all.yaml", "env_file: env.yml\ninstallation_prefix: p\nmamba: yes\n")
    classic.sh("conda-containerize advanced all.yaml")
    assert "DATA_SITE" in classic.says("p/bin/show-data")


def test_scripts_know_where_they_are(classic: Classic) -> None:
    classic.write("req.txt", "six\n")
    names = ("CW_INSTALLATION_PATH", "CW_WORKDIR", "CW_ENV_NAME", "CW_MODE", "CW_ISOLATE")
    show = " ".join(f"{name}=${name}" for name in (*names, "env_root", "install_root"))
    classic.write(
        "pre.sh",
        f"echo {show} in $PWD > pre.out; PRE=kept\n"
        'test -d "$CW_BUILD_TMPDIR"; test ! -e $env_root; shopt -q -o errexit\n'
        'for m in "${CW_MOUNT_POINTS[@]}"; do echo $m; done > mounts.out\n',
    )
    classic.write(
        "post.sh",
        f"echo {show} $PRE in $PWD > post.out\n"
        "python -c 'import six, sys; print(sys.prefix)' >> post.out\n",
    )
    classic.sh("pip-containerize new --prefix p --pre-i pre.sh --post-i post.sh req.txt")
    root = yaml.safe_load((classic.home / "p/share/conf.yaml").read_text())["installation_path"]
    shown = (
        f"CW_INSTALLATION_PATH={root} CW_WORKDIR={classic.home} CW_ENV_NAME=env1 CW_MODE=venv "
        f"CW_ISOLATE=no env_root={root}/env1/ install_root={root}"
    )
    assert (classic.home / "pre.out").read_text() == f"{shown} in {classic.home}\n"
    assert (classic.home / "post.out").read_text() == (
        f"{shown} kept in {classic.home}\n{root}/env1\n"
    )
    assert (classic.home / "mounts.out").read_text() == "/tmp\n/home\n/run\n"


def test_a_script_that_fails_means_no_installation(tool: Classic) -> None:
    tool.write("post.sh", "echo about to fail\nfalse\necho not reached\n")
    done = tool.sh(WRAP + " --post post.sh", status=int(Exit.BUILD))
    assert "about to fail" in done.stderr
    assert "not reached" not in done.stderr
    assert not (tool.home / "p").exists()
    assert tool.says("ls tmp $TMPDIR/tykky-classic-$USER 2>/dev/null || true").endswith("logs")


def test_files_of_a_build_that_failed_are_kept_on_request(tool: Classic) -> None:
    tool.write("post.sh", "false\n")
    done = tool.sh("CW_DEBUG_KEEP_FILES=1 " + WRAP + " --post post.sh", status=int(Exit.BUILD))
    (line,) = [line for line in done.stderr.splitlines() if "are kept in" in line]
    assert (Path(line.split()[-1]) / "root/bin/tool").exists()


def test_the_directory_of_builds_is_where_it_is_asked_for(tool: Classic) -> None:
    tool.write(
        "post.sh", 'echo "$CW_BUILD_TMPDIR $SINGULARITY_TMPDIR $SINGULARITY_CACHEDIR" > where\n'
    )
    tool.sh("CW_BUILD_TMPDIR=$HOME/builds " + WRAP + " --post post.sh")
    own, of_singularity, cache = (tool.home / "where").read_text().split()
    assert own.startswith(f"{tool.home}/builds/")
    assert (of_singularity, cache) == (own, f"{tool.home}/builds")


@pytest.mark.parametrize(("level", "steps", "more"), [("0", 0, 0), ("1", 0, 0), ("2", 1, 1)])
def test_how_much_is_said_is_up_to_the_user(
    tool: Classic, level: str, steps: int, more: int
) -> None:
    tool.write("post.sh", "echo from the script\n")
    done = tool.sh(f"CW_LOG_LEVEL={level} " + WRAP + " --post post.sh")
    said = done.stdout + done.stderr
    assert ("squash" in said, "from the script" in said) == (bool(steps), bool(more))
    assert ("use it" in said) == bool(steps)


def test_modes_in_the_image_are_left_alone_on_request(tool: Classic) -> None:
    tool.sh("chmod 700 t/bin/data; " + WRAP)
    ask = "p/bin/_debug_exec sh -c 'stat -c %a $install_root/bin/data'"
    assert tool.says(ask) == "755"
    tool.sh("rm -r p; CW_NO_FIX_PERM=1 " + WRAP)
    assert tool.says(ask) == "700"


def test_options_for_mksquashfs_are_passed_on(tool: Classic) -> None:
    tool.write("mine.yaml", "sqfs_options: -noappend -comp gzip -b 64K\n")
    tool.sh(WRAP + " -y mine.yaml")
    shown = tool.says("unsquashfs -s p/img.sqfs")
    assert "Compression gzip" in shown
    assert "Block size 65536" in shown


def test_what_environ_gives_is_run_before_each_command(tool: Classic) -> None:
    tool.write("env.sh", 'export GREETING="hello $WHO"\nexport THREADS=${SLURM_CPUS:-4}\n')
    tool.write("t/bin/show", "#!/bin/sh\necho $GREETING $THREADS\n")
    tool.sh("chmod +x t/bin/show; " + WRAP + " --env env.sh; rm env.sh")
    assert tool.says("WHO=you p/bin/show") == "hello you 4"
    assert tool.says("SLURM_CPUS=8 p/bin/show") == "hello 8"
    assert tool.says("WHO=me p/bin/_debug_exec sh -c 'echo $GREETING'") == "hello me"
    assert (tool.home / "p/share/previous_input/0/env.sh").exists()


def test_programs_elsewhere_and_single_files_can_be_wrapped(tool: Classic) -> None:
    tool.sh("wrap-install -w bin/tool,/usr/bin/env --prefix p t")
    assert tool.says("p/bin/tool; A=b p/bin/env | grep ^A=; ls p/bin") == (
        "tool\nA=b\n_debug_exec\n_debug_shell\nenv\ntool"
    )
