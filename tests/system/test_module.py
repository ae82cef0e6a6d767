"""Modulefiles as the real Lmod reads them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.stacks import Site
from tykky.errors import Exit

NASTY = r"""quotes ' " and ]] \ back\065 %s $HOME `id` $(id) {{ jinja }} -- é€😀"""


def explained(said: str) -> str:
    """The cause that an error names."""
    (cause,) = [line for line in said.splitlines() if line.startswith("tykky: ")]
    return cause


# -- what a module says -------------------------------------------------------------------


def test_module_says_what_the_stack_is(installed: Site) -> None:
    said = installed.lmod("module whatis tiny; module help tiny", stderr=-2).stdout
    for words in (
        "Name: tiny",
        "Version: 1.0",
        "Two small packages, one of them with a command.",
        "https://pypi.org/project/tabulate",
        "MIT",
        "tabulate",
        "python -m venv --system-site-packages",
    ):
        assert words in said


def test_module_spider_names_the_stacks_that_contain_a_package(installed: Site) -> None:
    said = installed.lmod("module spider tabulate; module spider six/1.17.0", stderr=-2).stdout
    assert "tabulate/0.9.0" in said
    assert "tiny/1.0" in said


def test_module_keyword_finds_a_stack_by_its_keywords(site: Site) -> None:
    site.hello(more='keywords = "greeting", "politeness"')
    site("install", "hello")
    assert "hello" in site.lmod("module keyword politeness", stderr=-2).stdout


def test_loading_and_unloading_restores_the_environment(installed: Site) -> None:
    names = "env | grep -v -E '^(_|_ModuleTable|LMOD|LOADEDMODULES|_LMFILES|__LMOD)' | sort"
    before, loaded, after = installed.lmod(
        f"{names} > 1; module load tiny; {names} > 2; module unload tiny; {names} > 3\n"
        "cat 1; echo ==; cat 2; echo ==; cat 3"
    ).stdout.split("==\n")
    assert before == after
    changed = {
        line.partition("=")[0]
        for line in set(loaded.splitlines()) ^ set(before.splitlines())
        if "=" in line
    }
    assert changed == {"PATH", "TYKKY_PINS"}, "a module that asks for no more sets nothing else"


def test_module_starts_no_program_when_it_is_loaded(installed: Site) -> None:
    for path in installed.modules.glob("*/*.lua"):
        assert not re.search(r"os\.execute|io\.popen|capture|subprocess|execute", path.read_text())


def test_module_of_a_read_only_home_is_loaded(installed: Site) -> None:
    assert installed.lmod("module load hello/0.9; hello", env={"HOME": "/nowhere"}).stdout


def test_any_text_in_a_recipe_arrives_in_the_module(site: Site) -> None:
    site.write(
        "hello",
        f"""
        from tykky.kinds.stack import Stack

        TEXT = {NASTY!r}


        class Hello(Stack):
            __doc__ = TEXT + "\\n\\nMore: " + TEXT

            homepage = "https://hello.example/?a=b&c='\\"\\\\"
            license = TEXT
            maintainers = TEXT
            keywords = TEXT
            versions = "1.0"
            commands = "hello"
            setenv = {{"HELLO_TEXT": TEXT}}
            env = {{"HELLO_INSIDE": TEXT}}

            def assemble(self, box):
                script = "#!/bin/sh\\nprintf %s \\"$HELLO_INSIDE\\"\\n"
                box.run(["chmod", "+x", box.write("bin/hello", script)])
        """,
    )
    site("install", "hello")
    assert site.lmod("module load hello; hello").stdout == NASTY
    assert site.lmod('module load hello; printf %s "$HELLO_TEXT"').stdout == NASTY
    assert NASTY in site.lmod("module help hello", stderr=-2).stdout
    assert NASTY in site.lmod("module whatis hello", stderr=-2).stdout


# -- names, versions, defaults ------------------------------------------------------------

VARIANTS = """
extra = variant(False, help="more of it")
size = variant("small", "large", help="how much")
"""


def with_variants(site: Site, *versions: str) -> None:
    file = site.hello("hello", *versions, more=VARIANTS)
    file.write_text("from tykky import variant\n" + file.read_text())


def test_choices_that_are_not_the_default_are_in_the_name(site: Site) -> None:
    with_variants(site, "1.0")
    site("install", "hello", "hello +extra", "hello size=large", "hello +extra size=large")
    assert site.modulefiles() == [
        "hello/1.0-extra-large.lua",
        "hello/1.0-extra.lua",
        "hello/1.0-large.lua",
        "hello/1.0.lua",
    ]
    assert site.lmod("module load hello; module -t list", stderr=-2).stdout.split()[-1] == (
        "hello/1.0"
    )
    assert site.lmod("module load hello/1.0-large; hello").stdout == "hello 1.0\n"
    assert [entry["module"] for entry in site.found("hello size=large")] == [
        "hello/1.0-extra-large",
        "hello/1.0-large",
    ] or len(site.found("hello size=large")) == 2


@pytest.mark.parametrize(
    ("order", "default"),
    [
        (["1.0", "2.0"], "1.0"),  # what 'install hello' gives
        (["2.0", "1.0"], "1.0"),
        (["2.0", "3.0rc1", "main"], "2.0"),
        (["3.0rc1", "main"], "3.0rc1"),
        (["1.0", "1.0 +extra"], "1.0"),
        (["1.0 +extra", "0.9"], "0.9"),
        (["1.0 +extra"], "1.0-extra"),
        (["old"], "old"),
        (["old", "0.9 +extra"], "0.9-extra"),  # one that is deprecated, only if it is alone
    ],
)
def test_first_version_of_the_recipe_without_choices_is_the_default(
    site: Site, order: list[str], default: str
) -> None:
    with_variants(site, "1.0", "old", "2.0", "0.9", "3.0rc1", "main")
    file = site.repo / "hello/recipe.py"
    text = file.read_text().replace("'old'", "Version('old', deprecated=True)")
    file.write_text(text.replace("import variant", "import Version, variant"))
    for version in order:
        site("install", f"hello@{version}")
    said = site.lmod("module load hello; module -t list", stderr=-2).stdout
    assert said.split()[-1] == f"hello/{default}"
    assert f"hello/{default}" in site.lmod("module spider hello", stderr=-2).stdout


def test_default_moves_on_when_it_goes_and_when_the_recipe_chooses_another(site: Site) -> None:
    site.hello("hello", "2.0", "1.0")
    site("install", "hello@1.0", "hello@2.0")
    assert site.lmod("module load hello; hello").stdout == "hello 2.0\n"
    site.hello("hello", "1.5", "1.0", "2.0")
    site("install", "hello@1.5")
    assert site.lmod("module load hello; hello").stdout == "hello 1.5\n"
    site("uninstall", "hello/1.5")
    assert site.lmod("module load hello; hello").stdout == "hello 2.0\n"
    site("uninstall", "hello/2.0")
    assert site.lmod("module load hello; hello").stdout == "hello 1.0\n"
    site("uninstall", "hello/1.0")
    assert not (site.modules / "hello").exists()


def test_modulefile_of_somebody_else_is_neither_overwritten_nor_removed(site: Site) -> None:
    site.hello()
    (site.modules / "hello").mkdir(parents=True)
    own = site.modules / "hello/1.0.lua"
    own.write_text("-- mine\n")
    done = site("install", "hello", status=int(Exit.CONFLICT))
    assert str(own) in explained(done.stderr)
    assert "build" not in [line.split()[0] for line in done.stderr.splitlines()]
    own.unlink()
    site("install", "hello")
    own.write_text("-- mine\n")
    site("uninstall", "hello")
    assert own.read_text() == "-- mine\n"


def test_two_recipes_whose_modules_would_have_the_same_name(site: Site) -> None:
    """A version ``1.0-extra`` and the version ``1.0`` with ``+extra`` are both hello/1.0-extra."""
    with_variants(site, "1.0", "1.0-extra")
    site("install", "hello@1.0 +extra")
    done = site("install", "hello@1.0-extra", status=int(Exit.CONFLICT))
    assert "hello/1.0-extra" in explained(done.stderr)
    assert "build" not in [line.split()[0] for line in done.stderr.splitlines()]
    assert [entry["version"] for entry in site.found()] == ["1.0"]


def test_verbs_tell_where_modules_are(site: Site, place: Path) -> None:
    site.hello()
    site("install", "hello", "-c", f"module_path={place}/elsewhere")
    assert site("module", "path").stdout == f"{site.modules}\n"
    path = site("module", "file", "hello", "-c", f"module_path={place}/elsewhere").stdout.strip()
    assert path == f"{place}/elsewhere/hello/1.0.lua"
    assert Path(path).exists()


# -- family, dependencies, variables ------------------------------------------------------


def test_of_one_family_only_one_module_is_loaded(site: Site) -> None:
    site.hello("hello", more='family = "greeting"')
    site.hello("hallo", more='family = "greeting"')
    site("install", "hello", "hallo")
    said = site.lmod("module load hello; module load hallo; echo $LOADEDMODULES").stdout
    assert said == "hallo/1.0\n"


def test_family_of_the_configuration(site: Site) -> None:
    site.hello("hello")
    site.hello("hallo", more='family = "its-own"')
    for name in ("hello", "hallo"):
        site("install", name, "-c", "module.family=stacks")
    said = site.lmod("module load hello; echo $LMOD_FAMILY_STACKS").stdout
    assert said == "hello\n"
    assert site.lmod("module load hello hallo; hello").stdout == "hello 1.0\n"


def foreign_module(place: Path, name: str) -> Path:
    """A module of the site's, in a directory that is returned."""
    folder = place / "foreign"
    file = folder / f"{name}.lua"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('setenv("FOREIGN", "there")\n')
    return folder


def test_modules_that_a_stack_loads_come_and_go_with_it(site: Site, place: Path) -> None:
    folder = foreign_module(place, "gcc/13")
    site.hello(more='loads = "gcc/13"')
    known = site.with_env(MODULEPATH=str(folder))
    known("install", "hello")
    said = known.lmod(
        f"module use {folder}; module load hello; echo ${{FOREIGN:-gone}}\n"
        "module unload hello; echo ${FOREIGN:-gone}"
    ).stdout
    assert said == "there\ngone\n"


@pytest.mark.parametrize("name", ["gcc/14", "gc", "no-such-thing"])
def test_missing_module_is_found_out_before_anything_is_built(
    site: Site, place: Path, name: str
) -> None:
    folder = foreign_module(place, "gcc/13")
    site.hello(more=f'loads = "{name}"')
    known = site.with_env(MODULEPATH=str(folder))
    done = known("install", "hello", status=int(Exit.NOT_FOUND))
    assert f"'{name}'" in explained(done.stderr)
    assert "build" not in [line.split()[0] for line in done.stderr.splitlines()]
    assert site.found() == []


@pytest.mark.parametrize("name", ["PYTHONPATH", "LD_LIBRARY_PATH"])
def test_variable_that_breaks_programs_of_others_is_refused(site: Site, name: str) -> None:
    file = site.hello(more=f'setenv = {{"{name}": "/x"}}')
    done = site("install", "hello", status=int(Exit.RECIPE))
    assert name in explained(done.stderr)
    assert f"{file}:" in done.stderr
    site.hello(more=f'@property\ndef setenv(self):\n    return {{"{name}": "/x"}}')
    done = site("install", "hello", status=int(Exit.RECIPE))
    assert name in explained(done.stderr)
    assert "build" not in [line.split()[0] for line in done.stderr.splitlines()]
    assert site.found() == []


@pytest.mark.parametrize("field", ["env", "setenv"])
@pytest.mark.parametrize("value", ["a\\nb", "a\\0b"])
def test_variable_that_cannot_be_written_down_is_refused(
    site: Site, field: str, value: str
) -> None:
    """Lmod and launch.conf both have one line for a variable."""
    site.hello(more=f'{field} = {{"TEXT": "{value}"}}')
    done = site("install", "hello", status=int(Exit.RECIPE))
    assert "TEXT" in done.stderr
    assert "build" not in [line.split()[0] for line in done.stderr.splitlines()]


def test_variables_of_the_stack_and_of_the_module(site: Site) -> None:
    site.hello(
        more="""
        env = {"INSIDE": "in the stack", "LD_LIBRARY_PATH": "/only/inside"}
        setenv = {"OUTSIDE": "everywhere"}

        def assemble(self, box):
            script = "#!/bin/sh\\necho $INSIDE, $LD_LIBRARY_PATH, $OUTSIDE\\n"
            box.run(["chmod", "+x", box.write("bin/hello", script)])
        """
    )
    site("install", "hello")
    said = site.lmod("module load hello; hello; echo $INSIDE, $LD_LIBRARY_PATH, $OUTSIDE").stdout
    assert said == "in the stack, /only/inside, everywhere\n, , everywhere\n"


# -- templates of the site ----------------------------------------------------------------


@pytest.fixture
def template(site: Site, place: Path) -> Path:
    """The site's own template, which its configuration names."""
    folder = place / "templates"
    folder.mkdir()
    site.user.env["TYKKY_MODULE_TEMPLATES"] = str(folder)
    return folder / "module.lua.j2"


def test_site_extends_the_template_block_by_block(site: Site, template: Path) -> None:
    template.write_text(
        '{% extends "tykky/module.lua.j2" %}\n'
        "{% block environment %}{{ super() }}"
        'setenv("SITE_STACK", {{ (name ~ "!") | lua }})\n{% endblock %}\n'
        "{% block whatis %}{{ super() }}whatis({{ ('Site: ' ~ version) | lua }})\n{% endblock %}\n"
    )
    site.hello(more='setenv = {"OWN": "kept"}')
    site("install", "hello")
    assert site.lmod("module load hello; echo $SITE_STACK $OWN; hello").stdout == (
        "hello! kept\nhello 1.0\n"
    )
    said = site.lmod("module whatis hello", stderr=-2).stdout
    assert "Site: 1.0" in said
    assert "Name: hello" in said


def test_site_replaces_the_template(site: Site, template: Path) -> None:
    template.write_text(
        'prepend_path("PATH", {{ (prefix ~ "/bin") | lua }})\nsetenv("WHOLE", "mine")\n'
    )
    site.hello()
    site("install", "hello")
    assert site.lmod("module load hello; echo $WHOLE; hello").stdout == "mine\nhello 1.0\n"
    site("uninstall", "hello")
    assert site.modulefiles() == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{% extends "tykky/module.lua.j2" %}\n{% block nothing %', 2),
        ('{% extends "tykky/module.lua.j2" %}\n{% block extra %}{{ nam }}{% endblock %}', 0),
        ('{% extends "tykky/nothing.j2" %}', 0),
        ("{{ name | nofilter }}", 1),
        ("{{ 1 / 0 }}", 0),
    ],
)
def test_broken_template_is_found_out_before_anything_is_built(
    site: Site, template: Path, text: str, line: int
) -> None:
    template.write_text(text)
    site.hello()
    done = site("install", "hello", status=int(Exit.CONFIG))
    assert "Traceback" not in done.stderr
    assert "template" in explained(done.stderr)
    if line:
        assert f"{template}:{line}" in done.stderr
    assert "build" not in [each.split()[0] for each in done.stderr.splitlines()]
    assert site.found() == []


def test_module_path_may_be_closed_to_others(site: Site) -> None:
    site.hello()
    site("install", "hello", "-c", "permissions.dir_mode=0750", "-c", "permissions.file_mode=0640")
    mode = (site.modules / "hello/1.0.lua").stat().st_mode
    assert mode & 0o777 == 0o640
    assert os.access(site.modules, os.R_OK)
