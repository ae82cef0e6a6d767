from __future__ import annotations

import os
import pwd
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from tykky.config import KEYS, Config, scopes, variable_of
from tykky.config.schema import (
    SECTIONS,
    Advisories,
    Catalog,
    Conda,
    Keep,
    Layers,
    Licences,
    Module,
    Permissions,
    Pip,
    Python,
    R,
    Signing,
    Slurm,
    Squash,
)
from tykky.config.tree import read_tree
from tykky.errors import ConfigError, Exit
from tykky.resources import resource
from tykky.runtime import native

Load = Callable[..., Config]


class Home:
    """The configuration of one user: a file for each scope, and an environment."""

    def __init__(self, place: Path) -> None:
        self.system = place / "system.yaml"
        self.site = place / "site.yaml"
        self.user = place / "home/.config/tykky/config.yaml"
        self.env = {"HOME": str(place / "home"), "TMPDIR": "/scratch"}
        self.user.parent.mkdir(parents=True)

    def write(self, scope: str, text: str) -> Path:
        path: Path = getattr(self, scope)
        path.write_text(text)
        path.chmod(0o644)
        if scope == "site":
            self.env["TYKKY_SITE_CONFIG"] = str(path)
        return path

    def load(self, **flags: str) -> Config:
        keys = {name.replace("__", "."): value for name, value in flags.items()}
        return Config.load(keys, self.env)

    def error(self, **flags: str) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            self.load(**flags)
        assert caught.value.code is Exit.CONFIG
        assert caught.value.remedy
        return caught.value


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    home = Home(tmp_path)
    monkeypatch.setattr(scopes, "SYSTEM_FILE", home.system)
    # The installation that runs the tests may have a site configuration of its own.
    monkeypatch.setattr("sys.prefix", str(tmp_path / "prefix"))
    return home


def test_defaults_file_has_exactly_the_keys_of_the_schema() -> None:
    path = resource("configs") / "defaults.yaml"
    settings = scopes.parse("defaults", path, path.read_bytes())
    assert sorted(setting.key for setting in settings) == sorted(KEYS)


def test_reference_has_every_key_with_its_default() -> None:
    path = resource("configs") / "defaults.yaml"
    shipped = {s.key: s.raw or "empty" for s in scopes.parse("", path, path.read_bytes())}
    page = (resource("share") / "doc/reference/configuration.md").read_text()
    rows = re.findall(r"^\| `([a-z_.]+)` \| (\S+|`.*?`) \| \S", page, re.MULTILINE)
    assert {key: default.strip("`") for key, default in rows} == shipped


def test_fields_of_the_dataclasses_are_exactly_the_keys_of_the_schema() -> None:
    groups = {
        "squash": Squash,
        "layers": Layers,
        "permissions": Permissions,
        "module": Module,
        "pip": Pip,
    }
    groups |= {"keep": Keep, "advisories": Advisories}
    groups |= {"python": Python, "r": R, "conda": Conda, "signing": Signing}
    groups |= {"licences": Licences, "slurm": Slurm, "catalog": Catalog}
    own = {field.name for field in fields(Config)} - {*groups, "warnings", "chains", "remotes"}
    assert own == set(SECTIONS[""])
    for section, group in groups.items():
        assert {field.name for field in fields(group)} == set(SECTIONS[section])


def test_programs_are_kept_outside_of_the_cache_that_builds_may_write_to(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    programs = native._cache()
    assert tmp_path / "home" in programs.parents
    assert home.load().cache_dir not in programs.parents


def test_defaults_are_usable_as_they_are(home: Home, tmp_path: Path) -> None:
    config = home.load()
    user = pwd.getpwuid(os.getuid()).pw_name
    assert config.root == tmp_path / "home/.tykky"
    assert config.module_path == config.root / "modules"
    assert config.build_dir == Path("/scratch") / f"tykky-{user}"
    assert config.cache_dir == tmp_path / "home/.cache/tykky"
    assert config.repos == (resource("repo"),)
    assert config.jobs == len(os.sched_getaffinity(0))
    assert (config.squash.compression, config.squash.level) == ("zstd", 3)
    assert config.hooks is None
    assert config.module.templates is None


def test_later_scopes_win_over_earlier_ones(home: Home) -> None:
    home.write("system", "squash:\n  level: 4\n")
    assert home.load().squash.level == 4
    home.write("site", "squash:\n  level: 5\n")
    assert home.load().squash.level == 5
    home.write("user", "squash:\n  level: 6\n")
    assert home.load().squash.level == 6
    home.env["TYKKY_SQUASH_LEVEL"] = "7"
    assert home.load().squash.level == 7
    assert home.load(squash__level="8").squash.level == 8


def test_why_names_every_scope_that_sets_a_key_with_file_and_line(home: Home) -> None:
    site = home.write("site", "# ours\n\nsquash:\n  level: 5\n")
    home.env["TYKKY_SQUASH_LEVEL"] = "7"
    chain = home.load(squash__level="8").why("squash.level")
    assert [origin.scope for origin in chain] == ["defaults", "site", "environment", "flags"]
    assert (chain[1].path, chain[1].line, chain[1].raw) == (site, 4, "5")
    assert chain[1].place == f"{site}:4"
    assert chain[2].place == "$TYKKY_SQUASH_LEVEL"
    assert chain[3].place == "-c squash.level"
    assert chain[3] == home.load(squash__level="8").origin("squash.level")


def test_module_path_follows_a_root_set_in_a_later_scope(home: Home) -> None:
    assert home.load(root="/appl/tykky").module_path == Path("/appl/tykky/modules")


def test_get_answers_dotted_keys_and_suggests_for_wrong_ones(home: Home) -> None:
    config = home.load()
    assert config.get("squash.block_size") == "128K"
    with pytest.raises(ConfigError) as caught:
        config.get("squash.levle")
    assert caught.value.remedy == "did you mean 'squash.level'?"


@pytest.mark.parametrize(
    ("value", "expanded"),
    [
        ("~/x", "{HOME}/x"),
        ("~root/x", pwd.getpwnam("root").pw_dir + "/x"),
        ("$TMPDIR/x", "/scratch/x"),
        ("${TMPDIR}x", "/scratchx"),
        ("${UNSET:-/a}/b", "/a/b"),
        ("${UNSET:-~/a}/b", "{HOME}/a/b"),
        ("${TMPDIR:-/a}/b", "/scratch/b"),
        ("/a/$$HOME", "/a/$HOME"),
        ("{root}/c", "/r/c"),
    ],
)
def test_values_are_expanded(home: Home, value: str, expanded: str) -> None:
    home.write("user", f'root: /r\ncache_dir: "{value}"\n')
    assert str(home.load().cache_dir) == expanded.replace("{HOME}", home.env["HOME"])


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ("$UNSET/x", "uses $UNSET, which is not set"),
        ("${UNSET}/x", "uses $UNSET, which is not set"),
        ("~nobody-at-all/x", "names the home of user 'nobody-at-all'"),
        ("/x/{rot}", "has an unknown {rot}"),
    ],
)
def test_what_cannot_be_expanded_is_an_error_with_file_and_line(
    home: Home, value: str, cause: str
) -> None:
    path = home.write("user", f'# mine\ncache_dir: "{value}"\n')
    error = home.error()
    assert cause in error.cause
    assert error.where is not None
    assert (error.where.path, error.where.line) == (path, 2)


def test_root_may_not_refer_to_itself(home: Home) -> None:
    assert "refers to itself" in home.error(root="{root}/x").cause


def test_relative_path_in_a_file_counts_from_the_file(home: Home) -> None:
    path = home.write("user", "hooks: hooks.py\nserver: ../bin/squashfuse_ll\n")
    config = home.load()
    assert config.hooks == path.parent / "hooks.py"
    assert config.server == str(path.parent.parent / "bin/squashfuse_ll")


def test_relative_path_of_a_flag_counts_from_the_working_directory(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert home.load(root="here").root == tmp_path / "here"


def test_relative_path_in_the_environment_is_refused(home: Home) -> None:
    home.env["TYKKY_ROOT"] = "here"
    error = home.error()
    assert "is a relative path" in error.cause
    assert "$TYKKY_ROOT" in error.cause


def test_lists_replace_lists_unless_they_name_the_inherited_one(home: Home) -> None:
    home.write("site", "repos: [/site/recipes]\n")
    assert home.load().repos == (Path("/site/recipes"), resource("repo"))
    home.write("user", "repos:\n- ~/mine\n- '{inherited}'\n")
    mine = Path(home.env["HOME"], "mine")
    assert home.load().repos == (mine, Path("/site/recipes"), resource("repo"))
    home.env["TYKKY_REPOS"] = "/a:/b:{inherited}"
    assert home.load().repos[:3] == (Path("/a"), Path("/b"), mine)
    home.env["TYKKY_REPOS"] = "/a"
    assert home.load().repos == (Path("/a"), resource("repo"))


def test_a_repository_of_git_stands_among_directories(home: Home) -> None:
    text = f"git+https://h:8/x/recipes.git?ref=a/b%23c&path=repo/x#{'a' * 40}"
    scp = f"git+me@host:hpc/more.git#{'b' * 64}"
    home.write("user", f"repos: [/a, {text!r}, '{{inherited}}']\n")
    home.env["TYKKY_REPOS"] = f"{scp}:/b:{{inherited}}"
    config = home.load()
    one, *_, two, _ = config.repos
    assert config.repos == (one, Path("/b"), Path("/a"), two, resource("repo"))
    assert [*map(str, config.remotes.values())] == [scp, text]
    remote = config.remotes[two]
    assert (remote.ref, remote.path, remote.name) == ("a/b#c", "repo/x", "recipes")
    # Beside the cache, which builds may write to; the commit is in its name.
    assert one == Path(f"{config.cache_dir}-recipes") / f"more-{'b' * 64}"
    for wrong, problem in {
        "git+https://h/x#main": "names no commit by its full number",
        f"git+https://me:pw@h/x#{'a' * 40}": "has a user or a password in it",
        f"git+ext::sh -c x#{'a' * 40}": "is no address of git",
        f"git+https://-oProxyCommand=x/y#{'a' * 40}": "is no address of git",
        f"git+https://h/x?ref=--upload-pack#{'a' * 40}": "has something else behind",
        f"git+https://h/x?path=../..#{'a' * 40}": "has something else behind",
        f"git+https://h/x?rev=1#{'a' * 40}": "has something else behind",
    }.items():
        home.env["TYKKY_REPOS"] = wrong
        with pytest.raises(ConfigError, match=problem):
            home.load()


def test_inherited_items_keep_the_folder_of_their_own_file(home: Home) -> None:
    site = home.write("site", "repos: [recipes]\n")
    home.write("user", "repos: ['{inherited}']\n")
    assert home.load(builtin_repo="false").repos == (site.parent / "recipes",)


def test_shipped_recipes_can_be_left_out(home: Home) -> None:
    home.write("user", "builtin_repo: false\n")
    assert home.load().repos == ()


def test_addresses_in_the_environment_are_separated_by_blanks(home: Home) -> None:
    home.env["TYKKY_PIP_EXTRA_INDEX_URLS"] = "https://a.org/x https://b.org/y"
    assert home.load().pip.extra_index_urls == ("https://a.org/x", "https://b.org/y")


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("squash: {compression: zip}", "squash.compression = 'zip' is not one of zstd, gzip"),
        ("squash: {level: 99}", "squash.level = '99' is not a whole number from 1 to 22"),
        ("squash: {level: 3.5}", "squash.level = '3.5' is not a whole number"),
        ("squash: {compression: gzip, level: 12}", "squash.level = 12 is too high for gzip"),
        ("squash: {block_size: 100K}", "is not a power of two"),
        ("squash: {block_size: 2M}", "is not a power of two from 4K to 1M"),
        ("permissions: {dir_mode: 0999}", "is no octal mode"),
        ("permissions: {dir_mode: rwxr-xr-x}", "is no octal mode"),
        ("permissions: {setgid: maybe}", "is neither true nor false"),
        ("module: {format: yaml}", "module.format = 'yaml' is not one of lua, tcl, both"),
        ("jobs: -1", "is not a whole number"),
        ("idle: 0", "is not a whole number from 1 to 86400"),
        ("runtime: docker", "is not one of native, apptainer, auto"),
        ("pip: {index_url: pypi.org}", "is no address"),
        ("pip: {glibc: '3'}", "is no version of glibc"),
        ("root: ''", "is empty"),
        ("root: ~", "is empty"),
        ("root:", "is empty"),
        ("repos: /one", "repos is not a list"),
        ("root: [/one]", "root is not one value"),
        ("root: {a: b}", "root is not one value"),
        ("repos: [[/one]]", "repos is not a list"),
        ("squash: zstd", "squash is a section, not a value"),
        ("squash: [zstd]", "squash is a section, not a value"),
        ("squash: {levels: 3}", "unknown configuration key 'squash.levels'"),
        ("squash: {a: {b: {c: d}}}", "unknown configuration key 'squash.a'"),
        ("rot: /x", "unknown configuration key 'rot'"),
        ("level: 3", "unknown configuration key 'level'"),
        ("<<: 3", "unknown configuration key '<<'"),
        ("root: /a\nroot: /b", "root is set twice, first in line 2"),
        ("\troot: /a", "not valid YAML"),
        ("root: /a: b", "not valid YAML"),
        ("module_path: {root}/modules", "not valid YAML"),
        ("root: 'a", "not valid YAML"),
        ("root: *a", "not valid YAML"),
        ("root: /a\n---\nroot: /b", "not valid YAML"),
        ("root: \x01", "not valid YAML"),
        ("- a", "not a list of `key: value` lines"),
        ("word", "not a list of `key: value` lines"),
    ],
)
def test_mistake_in_a_file_is_answered_with_its_place(home: Home, line: str, cause: str) -> None:
    path = home.write("user", f"# comment\n{line}\n")
    error = home.error()
    assert cause in error.cause
    assert error.where is not None
    assert error.where.path == path
    last = 2 + line.count("\n")
    assert 1 <= error.where.line <= last + 1
    if "not valid" not in cause and "list of" not in cause:
        assert error.where.line == last


def test_place_has_the_line_and_a_caret_under_the_word(home: Home) -> None:
    home.write("user", "squash:\n  compression: zip\n")
    assert str(home.error().where).splitlines()[1:] == [
        "    compression: zip",
        "                 ^^^",
    ]


def test_suggestions_name_the_key_that_was_meant(home: Home) -> None:
    for line, meant in (("rooot: /x", "root"), ("level: 3", "squash.level")):
        home.write("user", line)
        assert home.error().remedy == f"did you mean '{meant}'?"


def test_braces_and_tabs_have_a_remedy_of_their_own(home: Home) -> None:
    home.write("user", "module_path: {root}/modules\n")
    assert "quotes" in home.error().remedy
    home.write("user", "squash:\n\tlevel: 3\n")
    assert "spaces instead of tabs" in home.error().remedy


def test_text_that_is_not_utf8_is_named_with_its_line(home: Home) -> None:
    home.user.write_bytes(b"root: /a\nbase: \xff\n")
    error = home.error()
    assert "not UTF-8" in error.cause
    assert error.where is not None
    assert error.where.line == 2


def test_bad_flag_and_variable_are_named(home: Home) -> None:
    assert home.error(squash__level="x").cause.endswith("(set by -c squash.level)")
    assert home.error(rooot="x").remedy == "did you mean 'root'?"
    home.env["TYKKY_JOBS"] = "many"
    assert home.error().cause.endswith("(set by $TYKKY_JOBS)")


def test_losing_value_of_an_earlier_scope_is_not_an_error(home: Home) -> None:
    home.write("site", "root: $WORK/x\n")
    assert home.load(root="/y").root == Path("/y")


def test_misspelt_variable_is_warned_about_and_others_are_not(home: Home) -> None:
    home.env.update(
        TYKKY_ROOOT="/x",
        TYKKY_PATH="/a:/b",
        TYKKY_PINS="/p=7",
        TYKKY_PREFIX="/p",
        TYKKY_CHANGE_PS1="0",
        TYKKY_SOMETHING_ELSE_ENTIRELY="1",
    )
    (warning,) = home.load().warnings
    assert "TYKKY_ROOOT" in warning
    assert "TYKKY_ROOT" in warning


def test_list_without_items_can_be_written_anywhere(home: Home) -> None:
    home.write("user", "mount_points: [/a]\n")
    assert home.load(mount_points="[]").mount_points == ()
    home.env["TYKKY_MOUNT_POINTS"] = "[]"
    assert home.load().mount_points == ()


def test_empty_variable_counts_as_not_set(home: Home) -> None:
    home.env["TYKKY_ROOT"] = ""
    assert home.load().origin("root").scope == "defaults"


def test_each_key_has_a_variable_of_its_own() -> None:
    names = [variable_of(key) for key in KEYS]
    assert len(set(names)) == len(names)
    assert "TYKKY_SQUASH_BLOCK_SIZE" in names


@pytest.mark.parametrize("mode", [0o664, 0o646])
@pytest.mark.parametrize("scope", ["system", "site"])
def test_file_of_staff_that_others_can_write_is_refused(home: Home, scope: str, mode: int) -> None:
    path = home.write(scope, "jobs: 1\n")
    path.chmod(mode)
    error = home.error()
    assert "can be written by others" in error.cause
    assert error.remedy.endswith(f"chmod go-w {path}")


def test_file_of_a_user_that_everybody_can_write_is_refused(home: Home) -> None:
    home.write("user", "jobs: 1\n").chmod(0o666)
    assert "everybody" in home.error().cause


def test_missing_site_file_is_an_error_only_if_it_was_named(home: Home, tmp_path: Path) -> None:
    home.load()
    home.env["TYKKY_SITE_CONFIG"] = str(tmp_path / "none.yaml")
    assert "does not exist" in home.error().cause


def test_site_file_belongs_to_the_installation(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.prefix", str(tmp_path / "venv"))
    site = tmp_path / "venv/etc/tykky/config.yaml"
    site.parent.mkdir(parents=True)
    site.write_text("jobs: 1\n")
    site.chmod(0o644)
    assert home.load().origin("jobs").path == site


def test_directory_in_place_of_the_file_is_an_error(home: Home) -> None:
    home.user.mkdir()
    assert "cannot read" in home.error().cause


def test_xdg_config_home_moves_the_user_file(home: Home, tmp_path: Path) -> None:
    (tmp_path / "xdg/tykky").mkdir(parents=True)
    path = tmp_path / "xdg/tykky/config.yaml"
    path.write_text("jobs: 1\n")
    path.chmod(0o644)
    home.env["XDG_CONFIG_HOME"] = str(tmp_path / "xdg")
    assert home.load().origin("jobs").path == path


def test_check_tries_a_file_without_writing_it(home: Home) -> None:
    assert Config.check("user", b"jobs: 1\n", home.env).jobs == 1
    with pytest.raises(ConfigError):
        Config.check("user", b"jobs: one\n", home.env)
    assert not home.user.exists()


@pytest.mark.parametrize(
    "path", sorted((resource("configs") / "examples").glob("*.yaml")), ids=lambda path: path.stem
)
def test_example_of_a_site_is_valid(home: Home, path: Path) -> None:
    home.env["TYKKY_SITE_CONFIG"] = str(path)
    assert home.load().origin("root").path == path
    assert read_tree(path, path.read_bytes())


def test_root_of_ones_own_has_modules_and_permissions_of_its_own(home: Home) -> None:
    home.write("site", "root: /appl\nmodule_path: /modules\npermissions: {group: staff}\n")
    assert home.load().module_path == Path("/modules")
    mine = home.load(root="/mine")
    assert mine.module_path == Path("/mine/modules")
    assert mine.permissions.group == ""


def test_the_same_root_by_another_name_is_no_root_of_ones_own(home: Home, tmp_path: Path) -> None:
    (tmp_path / "appl").mkdir()
    (tmp_path / "link").symlink_to("appl")
    site = f"root: {tmp_path}/appl\nmodule_path: /modules\npermissions: {{group: staff}}\n"
    home.write("site", site)
    for root in ("appl", "link", "appl/"):
        config = home.load(root=f"{tmp_path}/{root}")
        assert (config.module_path, config.permissions.group) == (Path("/modules"), "staff"), root
        assert config.origin("permissions.group").scope == "site"
    home.write("site", site.replace("/modules", "'{root}/lmod'"))
    assert home.load(root="/mine").module_path == Path("/mine/lmod")


def test_what_is_set_for_another_root_is_told_and_does_not_count(home: Home) -> None:
    home.write("site", "root: /appl\npermissions: {group: staff}\n")
    config = home.load(root="/mine")
    shown = [(each.scope, each.raw, each.other_root) for each in config.why("permissions.group")]
    assert shown == [("defaults", "", ""), ("site", "staff", "/appl")]
    assert config.origin("permissions.group").scope == "defaults"


def test_who_sets_root_and_modules_together_keeps_both(home: Home) -> None:
    home.write("site", "root: /appl\nmodule_path: /modules\n")
    home.write("user", "root: /mine\nmodule_path: /elsewhere\n")
    assert home.load().module_path == Path("/elsewhere")


def test_modules_set_by_a_later_scope_than_the_root_count(home: Home) -> None:
    home.write("site", "root: /appl\nmodule_path: /modules\n")
    home.write("user", "module_path: /elsewhere\n")
    assert home.load().root == Path("/appl")
    assert home.load().module_path == Path("/elsewhere")


def test_roots_of_a_later_scope_come_first_and_a_name_counts_once(home: Home) -> None:
    home.write("site", "root: central\nroots: [project=/projects/p, central=/appl]\n")
    assert home.load().root == Path("/appl")
    home.write("user", "root: mine\nroots:\n  mine: ~/stacks\n  project: /other\n")
    mine = Path(home.env["HOME"], "stacks")
    assert home.load().roots == (
        ("mine", mine),
        ("project", Path("/other")),
        ("central", Path("/appl")),
    )
    assert home.load().root == mine
    assert home.load(root="project").root == Path("/other")
    home.env |= {"TYKKY_ROOT": "central", "TYKKY_ROOTS": "{inherited}:last=/last"}
    assert home.load().root == Path("/appl")
    assert [name for name, _ in home.load().roots] == ["mine", "project", "central", "last"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("roots: [nameless]", "is not NAME=PATH"),
        ("roots:\n  mine: '{root}/mine'", "refers to itself"),
        ("roots: [central=/appl]\nroot: centrel", "did you mean 'central'"),
        ("roots: [central=/appl]\nroot: other", "a new directory is ./other"),
    ],
)
def test_roots_that_nothing_can_mean_are_named_with_their_line(
    home: Home, text: str, said: str
) -> None:
    path = home.write("user", text + "\n")
    error = home.error()
    assert said in f"{error.cause} {error.remedy}"
    assert error.where and error.where.path == path


def test_a_misspelt_root_in_the_environment_is_told_what_may_be_there(home: Home) -> None:
    home.write("user", "roots: [central=/appl]\n")
    home.env["TYKKY_ROOT"] = "centrel"
    assert home.error().remedy == "did you mean 'central'? a new directory is named by its path"


def test_a_root_has_the_last_word_about_its_modules_and_permissions(
    home: Home, tmp_path: Path
) -> None:
    root, site = tmp_path / "appl", "permissions: {group: staff, dir_mode: '2775'}\n"
    root.mkdir()
    home.write("site", f"root: central\nroots: [central={root}]\n{site}")
    home.write("user", "permissions: {group: users}\n")
    file = root / "root.yaml"
    file.write_text("module_path: lmod\npermissions: {group: project}\n")
    for names in ({}, {"root": "central"}, {"root": str(root)}):
        config = home.load(**names)
        assert (config.module_path, config.permissions.group) == (root / "lmod", "project")
        assert config.permissions.dir_mode == "2775"
        assert config.origin("permissions.group").path == file
    assert home.load(permissions__group="other").permissions.group == "other"
    assert home.load(root="/elsewhere").permissions.group == ""
    for text, said in ("jobs: 1\n", "does not belong to a root"), ("hooks: x.py\n", "root may set"):
        file.write_text(text)
        error = home.error()
        assert said in f"{error.cause} {error.remedy}"
        assert error.where and (error.where.path, error.where.line) == (file, 1)
    file.write_text("permissions: {group: project}\n")
    for path, mode in (file, 0o646), (root, 0o777):
        before = path.stat().st_mode
        path.chmod(mode)
        assert "can be written by everybody" in home.error().cause
        path.chmod(before)
