"""Requirements files as pip has them, and what the user has told pip."""

from __future__ import annotations

import pytest

from tests.classic import Classic
from tykky.errors import Exit


@pytest.fixture
def project(classic: Classic) -> Classic:
    """Somebody with a project of their own, which has no wheel."""
    classic.write("own/pyproject.toml", '[project]\nname = "own"\nversion = "3"\n')
    classic.write("own/own.py", "def main():\n    print('own')\n")
    return classic


def test_a_file_may_include_others_and_name_directories(project: Classic) -> None:
    project.write("deps/more.txt", "six==1.17.0  # the last\n")
    project.write("req.txt", "# comment\n-r deps/more.txt\n./own\n")
    project.sh("pip-containerize new --prefix p req.txt")
    script = "import own, six; own.main(); print(six.__version__)"
    assert project.says(f"p/bin/python -c '{script}'") == "own\n1.17.0"


def test_what_only_pip_understands_is_given_to_pip(project: Classic) -> None:
    project.write("inner.txt", "--use-feature=fast-deps\nsix\n")
    project.write("req.txt", "-r inner.txt\n")
    done = project.sh("CW_LOG_LEVEL=3 pip-containerize new --prefix p req.txt")
    assert "pip is asked" in done.stdout
    assert project.says("p/bin/python -c 'import six; print(1)'") == "1"
    project.write("req.txt", "--no-cache-dir\ntabulate\n")
    done = project.sh("CW_LOG_LEVEL=3 pip-containerize update -r req.txt p", status=None)
    assert "pip is asked" in done.stdout


@pytest.mark.parametrize("how", ["variable", "file"])
def test_the_index_is_that_of_the_users_pip(project: Classic, how: str) -> None:
    index = "http://127.0.0.1:9/simple"
    project.write(".config/pip/pip.conf", f"[global]\nindex-url = {index}\n" * (how == "file"))
    env = "UV_HTTP_RETRIES=0 " + f"PIP_INDEX_URL={index} " * (how == "variable")
    project.write("req.txt", "no-such-package\n")
    done = project.sh(f"{env}pip-containerize new --nocache --prefix p req.txt", status=None)
    assert done.returncode not in (0, Exit.FAILED)
    assert "127.0.0.1:9" in done.stderr
    assert not (project.home / "p").exists()


def test_system_packages_are_seen_on_request(project: Classic) -> None:
    project.write("req.txt", "six\n")
    project.sh("pip-containerize new --system-site-packages --prefix p req.txt")
    settings = project.says("p/bin/_debug_exec sh -c 'cat $env_root/pyvenv.cfg'")
    assert "include-system-site-packages = true" in settings


def test_a_python_of_another_installation_is_refused(project: Classic, pip: object) -> None:
    project.write("req.txt", "six\n")
    done = project.sh(
        f"PATH={pip}/bin:$PATH pip-containerize new --prefix p req.txt", status=int(Exit.CONFLICT)
    )
    assert "is one of another installation" in done.stderr


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16"])
def test_a_file_is_read_as_windows_saves_it(project: Classic, codec: str) -> None:
    (project.home / "req.txt").write_bytes("# é\r\nsix==1.17.0\r\n".encode(codec))
    script = project.write("post.sh", "")
    script.write_bytes('pip list | grep six > "$CW_WORKDIR/seen" # é\r\n'.encode(codec))
    project.sh("pip-containerize new --prefix p --post-install post.sh req.txt")
    assert project.says("p/bin/python -c 'import six; print(six.__version__)'") == "1.17.0"
    assert "1.17.0" in (project.home / "seen").read_text()
    assert "six" in (project.home / "p/share/previous_input/0/req.txt").read_text()


def test_a_file_in_an_encoding_that_pip_refuses_is_named_with_its_line(project: Classic) -> None:
    (project.home / "req.txt").write_bytes(b"six\n# caf\xe9\n")
    done = project.sh("pip-containerize new --prefix p req.txt", status=int(Exit.RECIPE))
    assert "req.txt:2" in done.stderr
    assert "iconv -f latin1 -t utf-8 req.txt" in done.stderr
    assert not (project.home / "p").exists()
