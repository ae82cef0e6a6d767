"""From the names of channels to addresses, and what the machines have."""

from __future__ import annotations

from pathlib import Path

import pytest

from tykky.conda.channels import lacking, name_of, resolve, subdir_of, virtual_packages
from tykky.config import Config
from tykky.errors import ConfigError, StepError, TykkyError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def config(home: Path, **keys: str) -> Config:
    flags = {f"conda.{key}": value for key, value in keys.items()}
    return Config.load(flags, {"HOME": str(home)})


def urls(config: Config, *names: str) -> list[str]:
    return [channel.url for channel in resolve(names, config)]


def test_a_name_is_below_the_alias_and_an_address_is_itself(home: Path) -> None:
    assert urls(config(home), "conda-forge", "conda-forge/label/rc", "https://c.org/x/noarch/") == [
        "https://conda.anaconda.org/conda-forge",
        "https://conda.anaconda.org/conda-forge/label/rc",
        "https://c.org/x",
    ]
    assert urls(config(home), "/data/my channel") == ["file:///data/my%20channel"]


def test_defaults_are_two_channels_and_nodefaults_is_none(home: Path) -> None:
    assert urls(config(home), "nodefaults") == []
    assert len(urls(config(home), "defaults", "nodefaults")) == 2


def test_an_alias_means_another_address_for_what_is_below_as_well(home: Path) -> None:
    site = config(home, aliases="bioconda=https://m.org/b/ local=file:///c")
    assert urls(site, "bioconda", "bioconda/label/x", "conda-forge", "local") == [
        "https://m.org/b",
        "https://m.org/b/label/x",
        "https://conda.anaconda.org/conda-forge",
        "file:///c",
    ]
    assert name_of("https://m.org/b/", site) == "bioconda"
    assert name_of("https://conda.anaconda.org/x", site) == "x"
    assert name_of("https://elsewhere.org/x", site) == "https://elsewhere.org/x"


def test_the_first_place_of_a_channel_counts(home: Path) -> None:
    names = [c.name for c in resolve(("b", "a", "b"), config(home))]
    assert names == ["b", "a"]


@pytest.mark.parametrize("name", ["defaults", "https://repo.anaconda.com/pkgs/main", "evil"])
def test_a_blocked_channel_is_refused_with_the_words_of_the_site(home: Path, name: str) -> None:
    site = config(home, blocked="https://repo.anaconda.com evil", blocked_message="Terms.")
    with pytest.raises(StepError, match=r"may not be used here: Terms\."):
        resolve((name,), site)
    assert urls(site, "https://repo.anaconda.com.example.org/x")


def test_a_channel_cannot_be_used_by_another_name_when_its_address_is_blocked(home: Path) -> None:
    site = config(home, blocked="https://c.org/x", aliases="innocent=https://c.org/x")
    with pytest.raises(StepError):
        resolve(("innocent",), site)


def test_an_alias_without_an_address_is_an_error_of_the_configuration(home: Path) -> None:
    with pytest.raises(ConfigError):
        config(home, aliases="conda-forge")


def test_the_recipe_counts_more_than_the_configuration(home: Path) -> None:
    site = config(home, virtual_packages="__cuda=11.8 __glibc=2.34")
    found = {
        name: version for name, version, _ in virtual_packages(["__cuda=12.4"], site, "aarch64")
    }
    assert found["__cuda"] == "12.4"
    assert found["__glibc"] == "2.34"
    assert "__unix" in found and "__linux" in found
    assert ("__archspec", "1", "aarch64") in virtual_packages((), site, "aarch64")


def test_the_glibc_is_that_of_the_configuration(home: Path) -> None:
    site = Config.load({"pip.glibc": "2.31"}, {"HOME": str(home)})
    assert ("__glibc", "2.31", "0") in virtual_packages((), site, "x86_64")


def test_what_is_no_virtual_package_is_refused(home: Path) -> None:
    with pytest.raises(ConfigError, match="'cuda=12' is no virtual package"):
        virtual_packages(["cuda=12"], config(home), "x86_64")


def test_what_a_machine_lacks_is_told_of_what_decides_whether_programs_run() -> None:
    declared = ("__unix=0=0", "__glibc=2.28=0", "__cuda=12.4=0", "__archspec=1=zen4")
    poor = {"__glibc": "2.17", "__archspec": "1"}
    said = list(lacking(declared, poor, glibc=True))
    assert [line.split(";")[0].partition("with ")[2] for line in said] == [
        "__glibc 2.28, and this one has 2.17",
        "__cuda 12.4, and this one has none",
    ]
    assert len(list(lacking(declared, poor, glibc=False))) == 1
    assert not list(lacking(declared, {"__glibc": "2.100", "__cuda": "12.4"}, glibc=True))


def test_an_architecture_without_packages_is_refused() -> None:
    assert subdir_of("x86_64") == "linux-64"
    with pytest.raises(TykkyError, match="no packages for mips"):
        subdir_of("mips")
