"""What uv says is turned into a cause and a remedy; the texts are uv's own, drawn plainly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tykky.config import Config
from tykky.errors import Exit
from tykky.tools import complaints, uv

UNKNOWN = """\
  x No solution found when resolving dependencies:
  ╰─▶ Because surely-not-there was not found in the package registry and you
      require surely-not-there, we can conclude that your requirements are
      unsatisfiable.
"""
CONTRADICTION = """\
  x No solution found when resolving dependencies:
  ╰─▶ Because you require six<1.16 and six>=1.16, we can conclude that your
      requirements are unsatisfiable.
"""
NO_VERSION = """\
error: No solution found when resolving dependencies
  cause: Because there is no version of numpy==99.1 and you
      require numpy==99.1, we can conclude that your requirements are unsatisfiable.
"""
TOO_NEW = NO_VERSION.replace("there is no version of numpy==99.1", "only numpy<=2.5 is available")
NO_WHEEL = """\
  x No solution found when resolving dependencies:
  ╰─▶ Because docopt==0.6.2 has no usable wheels and you require
      docopt==0.6.2, we can conclude that your requirements are unsatisfiable.

      hint: Wheels are required for `docopt` because building from source is
      disabled for all packages (i.e., with `--no-build`)
"""
OFFLINE = """\
error: Request failed after 3 retries
  Caused by: Failed to fetch: `https://pypi.org/simple/six/`
  Caused by: error sending request for url (https://pypi.org/simple/six/)
  Caused by: client error (Connect)
  Caused by: tcp connect error: Connection refused (os error 111)
"""
TLS = """\
error: Failed to fetch: `https://pypi.org/simple/six/`
  Caused by: error sending request for url (https://pypi.org/simple/six/)
  Caused by: invalid peer certificate: UnknownIssuer
"""
FULL = """\
error: Failed to install: pip-26.3-py3-none-any.whl (pip==26.3)
  Caused by: failed to copy file from /c/pip to /p/pip: No space left on device (os error 28)
"""
ELSEWHERE = """\
error: No solution found when resolving dependencies
  cause: Because only six==1.0 is available and you require six>=2, we can conclude that your \
requirements are unsatisfiable.

hint: `six` was found on https://one/simple, but not at the requested version (six>=2). A \
compatible version may be available on a subsequent index (e.g., https://two/simple). By default, \
uv will only consider versions that are published on the first index that contains a given package.
"""
CLOSED = """\
error: No solution found when resolving dependencies
  cause: Because six was not found in the package registry and you require six, we can conclude \
that your requirements are unsatisfiable.

hint: An index URL (https://one/simple) could not be queried due to a lack of valid \
authentication credentials (401 Unauthorized)
"""
DOWN = """\
error: Request failed after 3 retries in 7.5s
  cause: Failed to fetch: https://two/simple/six/
  cause: HTTP status server error (500 Internal Server Error) for url (https://two/simple/six/)
"""
MISMATCH = """\
  x Failed to download `six==1.17.0`
  ╰─▶ Hash mismatch for `six==1.17.0`

      Expected:
        sha256:0000

      Computed:
        sha256:4721
"""
BUILD = """\
  x Failed to build `subtitles==1.0`
  ├─▶ The build backend returned an error
  ╰─▶ Call to `setuptools.build_meta:__legacy__.build_wheel` failed (exit status: 1)

      [stderr]
      subtitles.c:1:10: fatal error: Python.h: No such file or directory
"""


@pytest.mark.parametrize(
    ("output", "code", "says"),
    [
        (UNKNOWN, Exit.UNKNOWN_PACKAGE, "'surely-not-there' in the package indexes https://one/"),
        (ELSEWHERE, Exit.RESOLVE, "no six>=2 on https://one/simple"),
        (CLOSED, Exit.NETWORK, "https://one/simple does not let you in"),
        (DOWN, Exit.NETWORK, "the package index https://two/simple cannot be reached"),
        (CONTRADICTION, Exit.RESOLVE, "contradict"),
        (NO_VERSION, Exit.RESOLVE, "there is no numpy==99.1 in"),
        (TOO_NEW, Exit.RESOLVE, "there is no numpy==99.1 in the package index, only numpy<=2.5"),
        (NO_WHEEL, Exit.RESOLVE, "docopt"),
        (OFFLINE, Exit.NETWORK, "reached"),
        (TLS, Exit.NETWORK, "trust"),
        (FULL, Exit.NO_SPACE, "no space"),
        (MISMATCH, Exit.DAMAGED, "lock"),
        (BUILD, Exit.BUILD, ""),
        ("", Exit.BUILD, "uv"),
    ],
)
def test_what_uv_says_has_a_cause_a_remedy_and_a_code(output: str, code: Exit, says: str) -> None:
    flags = {"pip.index_url": "https://one/simple"}
    flags |= {"pip.extra_index_urls": "https://me:hunter2@two/simple https://three/simple"}
    error = complaints.explain(output, uv.indexes(Config.load(flags, {"HOME": "/nowhere"})))
    assert "hunter2" not in f"{error.cause} {error.remedy}"
    assert error.code is code
    assert says in error.cause
    assert error.remedy
    assert len(error.details) <= 12


def test_nothing_of_the_users_configuration_reaches_uv(tmp_path: Path) -> None:
    config = Config.load(
        {"cache_dir": str(tmp_path), "pip.index_url": "https://mirror.example/simple"},
        {"HOME": str(tmp_path)},
    )
    variables = uv.environment(config)
    assert variables["UV_NO_CONFIG"] == "1"
    assert variables["UV_PYTHON_DOWNLOADS"] == "never"
    assert variables["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert variables["UV_CACHE_DIR"] == f"{tmp_path}/uv"
    assert all(variables.values()), "an empty variable means something else than none"


def test_indexes_are_in_the_sites_order_with_what_netrc_has_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text(
        "machine two login me password p@ss/w\ndefault login a password b\n"
    )
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    flags = {"pip.index_url": "https://one/simple"}
    flags |= {
        "pip.extra_index_urls": "https://two/simple https://you:own@two/simple https://one/simple"
    }
    config = Config.load(flags, {"HOME": "/nowhere"})
    addresses = (
        "https://one/simple",
        "https://me:p%40ss%2Fw@two/simple",
        "https://you:own@two/simple",
    )
    assert uv.indexes(config) == addresses
    variables = uv.environment(config)
    # Which uv asks in this order.
    assert (*variables["UV_INDEX"].split(), variables["UV_DEFAULT_INDEX"]) == addresses
    assert "UV_INDEX_STRATEGY" not in variables


def test_platform_names_the_oldest_glibc() -> None:
    config = Config.load({"pip.glibc": "2.17"}, {"HOME": "/nowhere"})
    assert uv.platform(config, "aarch64") == "aarch64-manylinux_2_17"
