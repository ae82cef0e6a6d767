"""``tykky config`` as users and staff type it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.stacks import Site
from tykky.errors import Exit


def user_file(site: Site) -> Path:
    return site.user.home / ".config/tykky/config.yaml"


def test_every_value_is_shown_with_its_scope_and_place(site: Site) -> None:
    site("config", "set", "squash.level", "9")
    lines = {line.split()[0]: line.split() for line in site("config").stdout.splitlines()}
    assert lines["squash.level"] == ["squash.level", "9", "user", f"{user_file(site)}:2"]
    assert lines["root"] == ["root", str(site.root), "environment", "$TYKKY_ROOT"]
    assert lines["idle"] == ["idle", "60", "defaults"]
    as_json = site.json("config")
    assert as_json["squash.level"]["value"] == 9
    assert as_json["squash.level"]["line"] == 2
    assert as_json["repos"]["value"][0] == str(site.repo)


def test_get_prints_the_value_alone(site: Site) -> None:
    assert site("config", "get", "squash.compression").stdout == "zstd\n"
    assert site("config", "get", "hooks").stdout == "\n"
    assert site("config", "get", "builtin_repo").stdout == "true\n"
    assert site("config", "get", "repos").stdout.splitlines()[0] == str(site.repo)
    assert site.json("config", "get", "repos")[0] == str(site.repo)
    assert site.json("config", "get", "hooks") is None


def test_set_keeps_what_else_is_in_the_file(site: Site) -> None:
    path = user_file(site)
    path.parent.mkdir(parents=True)
    path.write_text("# mine\nsquash:\n  level: 4 # fast\n")
    done = site("config", "set", "squash.level", "12")
    assert str(path) in done.stderr
    site("config", "set", "module.family", "stacks")
    assert path.read_text() == "# mine\nsquash:\n  level: 12 # fast\nmodule:\n  family: stacks\n"
    assert site.json("config", "get", "squash.level") == 12


def test_set_takes_a_list_and_the_inherited_one(site: Site) -> None:
    own = site.with_env(TYKKY_REPOS="")
    own("config", "set", "repos", "~/recipes", "{inherited}")
    assert own.json("config", "get", "repos")[0] == str(site.user.home / "recipes")
    assert len(own.json("config", "get", "repos")) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["squash.level", "99"], "squash.level = '99' is not a whole number from 1 to 22"),
        (["squash.levle", "9"], "did you mean 'squash.level'?"),
        (["squash.level", "9", "10"], "squash.level takes one value, not 2"),
        (["root", "$NOWHERE/x"], "uses $NOWHERE, which is not set"),
        (["root", ""], "is empty"),
    ],
)
def test_what_is_wrong_is_not_written(site: Site, words: list[str], message: str) -> None:
    done = site("config", "set", *words, status=Exit.CONFIG)
    assert message in done.stderr
    assert not user_file(site).exists()


def test_value_that_does_not_win_is_told(site: Site) -> None:
    done = site("config", "set", "root", "/elsewhere")
    assert f"$TYKKY_ROOT still wins: root = {site.root}" in done.stderr
    assert "unset TYKKY_ROOT" in done.stderr


def test_new_file_is_one_that_only_its_owner_writes(site: Site) -> None:
    site.user.bash("umask 002; tykky config set idle 5")
    assert user_file(site).stat().st_mode & 0o777 == 0o644


def test_site_scope_is_written_where_it_is_read(site: Site, place: Path) -> None:
    staff = site.with_env(TYKKY_SITE_CONFIG=str(place / "site.yaml"))
    (place / "site.yaml").write_text("")
    (place / "site.yaml").chmod(0o644)
    staff("config", "set", "idle", "5", "--scope", "site")
    assert (place / "site.yaml").read_text() == "idle: 5\n"
    assert staff.json("config", "get", "idle") == 5
    shown = [line.split() for line in staff("config", "why", "idle").stdout.splitlines()]
    assert shown[0] == ["idle", "=", "5"]
    assert (shown[1][0], shown[1][-1]) == ("defaults", "60")
    assert shown[2] == ["=>", "site", f"{place}/site.yaml:1", "5"]


def test_place_that_is_not_ours_to_write_has_its_own_exit_code(site: Site, place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o555)
    staff = site.with_env(XDG_CONFIG_HOME=str(closed))
    done = staff("config", "set", "idle", "5", status=Exit.NOT_WRITABLE)
    assert "cannot write" in done.stderr
    assert list(closed.iterdir()) == []


def test_full_disk_leaves_the_old_file(site: Site, place: Path) -> None:
    config = place / "full"
    config.mkdir()
    script = (
        f"mount -t tmpfs -o size=16k none '{config}'; mkdir '{config}/tykky'; umask 022\n"
        f"echo 'idle: 7' >'{config}/tykky/config.yaml'\n"
        f"cat /dev/zero >'{config}/filler' 2>/dev/null || :\n"
        "tykky config set module.family x || echo status $?\n"
        f"cat '{config}/tykky/config.yaml'; ls -A '{config}/tykky'"
    )
    namespace = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-ec"]
    done = site.user.run(*namespace, script, env={"XDG_CONFIG_HOME": str(config)})
    assert done.stdout.splitlines() == [f"status {Exit.NO_SPACE:d}", "idle: 7", "config.yaml"]
    assert "No space left" in done.stderr


def test_broken_file_is_named_by_every_verb(site: Site) -> None:
    path = user_file(site)
    path.parent.mkdir(parents=True)
    path.write_text("jobs: 1\nrooot: /x\n")
    done = site("find", status=Exit.CONFIG)
    assert done.stderr.splitlines() == [
        "tykky: error: unknown configuration key 'rooot'",
        f"  {path}:2",
        "      rooot: /x",
        "      ^^^^^",
        "  did you mean 'root'?",
    ]


def test_misspelt_variable_is_a_warning_and_no_error(site: Site) -> None:
    done = site("config", "get", "idle", env={"TYKKY_RUUT": "/x", "TYKKY_IDEL": "3"})
    assert done.stdout == "60\n"
    assert "TYKKY_IDEL has no meaning; did you mean 'TYKKY_IDLE'?" in done.stderr


def test_flags_stand_before_or_after_the_verb(site: Site) -> None:
    assert site("-c", "idle=3", "config", "get", "idle").stdout == "3\n"
    assert site("config", "-c", "idle=4", "get", "idle").stdout == "4\n"
    assert site("--root", "here", "config", "get", "root").stdout == f"{site.user.home}/here\n"


def test_installed_wheel_needs_no_home(site: Site) -> None:
    env = {name: value for name, value in site.user.env.items() if name != "HOME"}
    program = shutil.which("tykky", path=env["PATH"])
    assert program
    done = site.user.run("env", "-u", "HOME", program, "config", "get", "cache_dir")
    assert done.stdout.startswith("/")


def test_set_keeps_a_password_for_its_owner_only_and_shows_none(site: Site) -> None:
    key, address = "pip.index_url", "https://me:hunter2@index.site/simple"
    site("config", "set", key, address)
    path = user_file(site)
    assert path.stat().st_mode & 0o777 == 0o600
    assert address in path.read_text()
    shown = "https://***@index.site/simple"
    assert site("config", "get", key).stdout == f"{shown}\n"
    assert site.json("config", "why", key)["origins"][-1]["raw"] == shown
    assert shown in site("config").stdout
    path.chmod(0o644)
    done = site("config", "set", "squash.level", "5")
    assert f"warning: {path} has a password" in done.stderr
    assert f"chmod 600 {path}" in done.stderr
    # One from the environment is not in the file.
    site("config", "set", key, "https://${ME}@index.site/simple", env={"ME": "me:hunter2"})
    said = site("config", "get", key, env={"ME": "me:hunter2"}).stdout
    assert said == f"{shown}\n"
