"""One rule for package indexes, whichever way packages come in: the first that has it decides.

The site's index comes first, then the further ones in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import ways
from tests.indexes import address, index, publish
from tests.servers import Web
from tests.stacks import HEAD
from tests.ways import PUBLIC, WAYS, Person
from tykky.errors import Exit

#: What each index has, the site's first.
_INDEXES = (
    ("goodpkg==1.0",),
    ("goodpkg==2.0", "second==1.0"),
    ("goodpkg==0.5", "second==2.0"),
)


@pytest.fixture
def webs() -> Iterator[list[Web]]:
    with ExitStack() as stack:
        yield [stack.enter_context(index(*packages)) for packages in _INDEXES]


@pytest.fixture
def addresses(webs: list[Web]) -> list[str]:
    return [address(web) for web in webs]


@pytest.fixture
def person(place: Path, addresses: list[str]) -> Person:
    return ways.person(place, *addresses, PUBLIC)


def versions(person: Person, prefix: Path) -> str:
    """Which ``goodpkg`` and ``second`` an install has."""
    ask = "import goodpkg, second; print(goodpkg.version, second.version)"
    return person.classic.says(f"{prefix}/bin/python -c '{ask}'")


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_first_index_that_has_a_package_decides(
    person: Person, way: Callable[[Person], Path]
) -> None:
    assert versions(person, way(person)) == "1.0 1.0"


@pytest.mark.parametrize("way", [ways.pip_recipe, ways.pip_containerize], ids=["recipe", "classic"])
def test_a_site_may_want_the_best_version_of_all(
    person: Person, way: Callable[[Person], Path]
) -> None:
    person = person.with_env(TYKKY_PIP_STRATEGY="best-match")
    assert versions(person, way(person)) == "2.0 2.0"


#: What a user of a site that has index 0 alone says of the indexes; which versions they get; and
#: whether they are told of the order, because pip would do something else.
_OWN = {
    "further ones of a file": ("", "--extra-index-url {1}", "1.0 1.0", True),
    "what only such have": ("", "--extra-index-url {1}\ngoodpkg==2.0", "2.0 1.0", True),
    "in its order": ("", "--extra-index-url={2}\n--extra-index-url={1}", "1.0 2.0", True),
    "an index of a file": ("", "-i {1}", "2.0 1.0", False),
    "an index of an included file": ("", "-r more.txt", "2.0 1.0", False),
    "both of a file": ("", "--extra-index-url {0} --index-url {1}", "2.0 1.0", False),
    "further ones of pip": ("PIP_EXTRA_INDEX_URL={1}", "", "1.0 1.0", True),
    "an index of pip": ("PIP_INDEX_URL={1}", "", "2.0 1.0", False),
    "further ones of uv": ("UV_INDEX={1}", "", "1.0 1.0", True),
    "an index of uv": ("UV_INDEX_URL={1}", "", "2.0 1.0", False),
    "best of all": ("TYKKY_PIP_STRATEGY=best-match", "--extra-index-url {1}", "2.0 1.0", False),
}


@pytest.mark.parametrize(("variable", "line", "got", "told"), _OWN.values(), ids=_OWN)
def test_what_users_say_of_indexes_has_its_place_in_the_same_order(
    place: Path, webs: list[Web], variable: str, line: str, got: str, told: bool
) -> None:
    for web in webs:
        for name in ("pip", "setuptools", "wheel"):  # whatever is put into a new environment
            publish(web, name)
    addresses = [address(web) for web in webs]
    person = ways.person(place, addresses[0])
    text = f"{line.format(*addresses)}\ngoodpkg\nsecond\n"
    files = {"req.txt": text, "more.txt": f"--index-url {addresses[1]}\n"}
    command = f"{variable.format(*addresses)} pip-containerize new --prefix p req.txt"
    assert versions(person, person.make(command, files)) == got
    assert ("the first of these indexes" in person.said[0]) == told


def test_what_only_pip_can_do_is_told_with_where_it_came_from(
    person: Person, webs: list[Web]
) -> None:
    files = {"req.txt": "--use-feature=fast-deps\ngoodpkg\nsecond\n"}
    prefix = person.make("pip-containerize new --prefix p req.txt", files)
    assert versions(person, prefix) == "2.0 2.0"
    (line,) = [line for line in person.said[-1].splitlines() if "best version of all" in line]
    hosts = [web.address.removeprefix("http://") for web in webs]
    assert f"from {hosts[1]}: goodpkg 2.0; from {hosts[2]}: second 2.0" in line


#: What is asked for; the code of the refusal, and what it says of the indexes by their numbers.
_REFUSED = {
    "goodpkg==2.0": (Exit.RESOLVE, "there is no goodpkg==2.0 on {0}, which is the first"),
    "no-such-package-anywhere": (Exit.UNKNOWN_PACKAGE, "in the package indexes {0}, {1}, {2}"),
}


@pytest.mark.parametrize("wanted", _REFUSED)
def test_a_refusal_names_the_index(person: Person, addresses: list[str], wanted: str) -> None:
    code, says = _REFUSED[wanted]
    with pytest.raises(pytest.fail.Exception, match=f"ended with {int(code)},") as failed:
        person.recipe(HEAD.format(kind="PipStack") + f"    packages = '{wanted}'\n")
    assert says.format(*addresses) in str(failed.value)
    person.classic.write("req.txt", f"{wanted}\n")
    person.sh("pip-containerize new --prefix p req.txt", status=int(code))
    assert says.format(*addresses) in person.said[-1]


def test_an_index_that_lets_nobody_in_is_named(place: Path) -> None:
    with index("goodpkg==1.0", login="me:hunter2") as web:
        person = ways.person(place, address(web, "me:wrong"), PUBLIC)
        with pytest.raises(pytest.fail.Exception, match=f"with {int(Exit.NETWORK)},") as failed:
            ways.pip_recipe(person)
        assert f"the package index {address(web)} does not let you in" in str(failed.value)
