"""Commands of one stack that are called from inside another one, which hides what they need."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.stacks import Site

RECIPE = '''\
from tykky import ContainerStack


class Wrapped(ContainerStack):
    """Programs of an image."""

    homepage = "https://example.org"
    license = "MIT"
    versions = "1"
    image = "{image}"
    commands = "sh", "cat"
    isolation = "{isolation}"
'''
RUNTIMES = ["native", "apptainer"]

pytestmark = pytest.mark.skipif(
    not shutil.which("apptainer"), reason="apptainer is not installed: tools/provision apptainer"
)


@pytest.mark.parametrize("outer", RUNTIMES)
@pytest.mark.parametrize("inner", RUNTIMES)
@pytest.mark.parametrize("seen", [False, True], ids=["image hidden", "image seen"])
def test_stack_that_is_hidden_by_an_isolated_one_says_where_it_was_called(
    site: Site, debian: Path, place: Path, outer: str, inner: str, seen: bool
) -> None:
    image = debian
    if seen:
        image = place / "base.sqfs"
        shutil.copy(debian, image)
    site.write("closed", RECIPE.format(image=debian, isolation="closed"))
    site.write("free", RECIPE.format(image=image, isolation="open"))
    site("install", "closed", "free")
    site("refresh", "closed", "--runtime", outer)
    site("refresh", "free", "--runtime", inner)
    script = f"{site.prefix('free')}/bin/cat /etc/hostname"
    done = site.user.run(site.prefix("closed") / "bin/sh", "-c", script, cwd=place, status=125)
    assert "this is inside another stack, the one of " in done.stderr
    assert "call free/1 from a shell outside" in done.stderr
    assert done.stderr.count("\n") == 2
