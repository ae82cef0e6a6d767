from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.servers import Web, serve
from tykky.bases.session import Session
from tykky.errors import Exit, StepError
from tykky.fetch import fetch, fetch_unpinned

DATA = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with serve() as web:
        web.files["/a/data.bin"] = DATA
        yield web


def test_file_is_downloaded_once_and_then_taken_from_the_cache(web: Web, tmp_path: Path) -> None:
    first = fetch(web.address + "/a/data.bin", DIGEST, tmp_path)
    assert first.read_bytes() == DATA
    assert fetch(web.address + "/a/data.bin", DIGEST, tmp_path) == first
    assert len(web.asked) == 1


def test_download_goes_on_where_it_broke_off(web: Web, tmp_path: Path) -> None:
    web.breaks = [300_000, 300_000]
    assert fetch(web.address + "/a/data.bin", DIGEST, tmp_path).read_bytes() == DATA
    assert [span for _, span in web.asked] == ["", "bytes=300000-", "bytes=600000-"]


def test_no_more_is_taken_than_a_file_is_said_to_have(web: Web, tmp_path: Path) -> None:
    web.files["/a/data.bin"] = DATA * 3
    for size in (0, len(DATA)):
        with pytest.raises(StepError) as caught:
            fetch(web.address + "/a/data.bin", DIGEST, tmp_path, size=size)
        assert caught.value.code is Exit.DAMAGED
        assert hashlib.sha256(DATA * 3).hexdigest() not in caught.value.cause  # not all came
    web.files["/a/data.bin"] = DATA
    assert fetch(web.address + "/a/data.bin", DIGEST, tmp_path, size=len(DATA)).exists()


def test_later_run_goes_on_where_an_earlier_one_gave_up(web: Web, tmp_path: Path) -> None:
    web.breaks = [300_000, 0, 0, 0]
    with pytest.raises(StepError) as caught:
        fetch(web.address + "/a/data.bin", DIGEST, tmp_path)
    assert caught.value.code is Exit.NETWORK
    assert "broke off after 300000 of 1024000 bytes" in caught.value.cause
    web.asked.clear()
    assert fetch(web.address + "/a/data.bin", DIGEST, tmp_path).read_bytes() == DATA
    assert web.asked == [("/a/data.bin", "bytes=300000-")]


def test_token_that_ends_in_the_middle_is_renewed(web: Web, tmp_path: Path) -> None:
    web.login = "Bearer first"
    given = []

    def renew(url: str) -> dict[str, str]:
        given.append(url)
        return {"Authorization": web.login}

    class Ending(list[int]):
        def pop(self, index: object = -1) -> int:  # type: ignore[override]
            web.login = "Bearer second"
            return super().pop()

    web.breaks = Ending([300_000])
    url = web.address + "/a/data.bin"
    assert fetch(url, DIGEST, tmp_path, renew=renew).read_bytes() == DATA
    assert given == [url, url]
    assert [span for _, span in web.asked] == ["", "", "bytes=300000-", "bytes=300000-"]


def test_a_password_is_not_told_to_a_server_that_a_registry_leads_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            own = "127.0.0.1" in self.headers["Host"]
            elsewhere = f"http://localhost:{self.server.server_address[1]}"
            self.send_response(307 if own else 401)
            self.send_header("Location", f"{elsewhere}/blob")
            self.send_header("WWW-Authenticate", f'Bearer realm="{elsewhere}/token"')
            self.end_headers()
            told.append((self.path, self.headers["Authorization"]))

        def log_message(self, *arguments: object) -> None:
            pass

    for name in ("USERNAME", "PASSWORD"):
        monkeypatch.setenv(f"APPTAINER_DOCKER_{name}", "secret")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        session = Session(f"127.0.0.1:{server.server_address[1]}", "stacks/x", 5)
        for ask in (session.renew, lambda url: session.ask("GET", url)):
            with pytest.raises(StepError, match="localhost"):
                ask(session.blob("sha256:0"))
        server.shutdown()
    assert [path for path, _ in told] == 2 * ["/v2/stacks/x/blobs/sha256:0", "/blob"]
    assert not any(given for _, given in told)


def test_token_that_is_new_and_denied_is_one_error(web: Web, tmp_path: Path) -> None:
    web.login = "Bearer right"
    given = []

    def renew(url: str) -> dict[str, str]:
        given.append(url)
        return {"Authorization": "Bearer wrong"}

    with pytest.raises(StepError, match="answers 401"):
        fetch(web.address + "/a/data.bin", DIGEST, tmp_path, renew=renew)
    assert len(given) == 1


def test_server_that_knows_no_ranges_sends_the_whole_file_again(web: Web, tmp_path: Path) -> None:
    web.breaks, web.ranges = [300_000], False
    assert fetch(web.address + "/a/data.bin", DIGEST, tmp_path).read_bytes() == DATA


def test_partial_download_of_another_file_is_thrown_away(web: Web, tmp_path: Path) -> None:
    partial = tmp_path / "downloads" / f"{DIGEST}.part"
    partial.parent.mkdir()
    partial.write_bytes(b"x" * 1000)
    assert fetch(web.address + "/a/data.bin", DIGEST, tmp_path).read_bytes() == DATA
    partial.write_bytes(b"x" * 2_000_000)
    (tmp_path / "downloads" / DIGEST).unlink()
    assert fetch(web.address + "/a/data.bin", DIGEST, tmp_path).read_bytes() == DATA


def test_wrong_file_is_refused_with_both_digests_and_not_kept(web: Web, tmp_path: Path) -> None:
    web.files["/a/data.bin"] = b"something else"
    with pytest.raises(StepError) as caught:
        fetch(web.address + "/a/data.bin", DIGEST, tmp_path)
    assert caught.value.code is Exit.DAMAGED
    assert DIGEST in caught.value.cause
    assert hashlib.sha256(b"something else").hexdigest() in caught.value.cause
    assert [p.name for p in (tmp_path / "downloads").iterdir() if p.name[0] != "."] == []


def test_damaged_file_in_the_cache_is_downloaded_again(web: Web, tmp_path: Path) -> None:
    kept = fetch(web.address + "/a/data.bin", DIGEST, tmp_path)
    kept.write_bytes(DATA[:-1])
    assert fetch(web.address + "/a/data.bin", DIGEST, tmp_path).read_bytes() == DATA


def test_mirrors_are_tried_in_order_before_the_address_itself(web: Web, tmp_path: Path) -> None:
    web.files["/bad/example.org/data.bin"] = b"altered"
    web.files["/good/example.org/data.bin"] = DATA
    mirrors = [f"{web.address}/{name}" for name in ("none", "bad", "good")]
    said: list[str] = []
    url = "https://example.org/data.bin"
    kept = fetch(url, DIGEST, tmp_path, mirrors=mirrors, say=said.append)
    assert kept.read_bytes() == DATA
    assert [path.split("/")[1] for path, _ in web.asked] == ["none", "bad", "good"]
    assert any("is not the file that was expected" in text for text in said)


def test_mirror_on_disk_serves_without_a_network(tmp_path: Path) -> None:
    (tmp_path / "mirror/example.org/a b").mkdir(parents=True)
    (tmp_path / "mirror/example.org/a b/data.bin").write_bytes(DATA)
    mirror = (tmp_path / "mirror").as_uri()
    kept = fetch("https://example.org/a%20b/data.bin", DIGEST, tmp_path, mirrors=[mirror])
    assert kept.read_bytes() == DATA


def test_file_on_disk_is_copied_and_checked(tmp_path: Path) -> None:
    (tmp_path / "my data.bin").write_bytes(DATA)
    url = (tmp_path / "my data.bin").as_uri()
    assert fetch(url, DIGEST, tmp_path).read_bytes() == DATA
    with pytest.raises(StepError, match="there is no file"):
        fetch(url + "x", "0" * 64, tmp_path)


@pytest.mark.parametrize(
    ("status", "code", "cause"),
    [(403, Exit.BUILD, "answers 403"), (503, Exit.NETWORK, "answers 503")],
)
def test_answers_that_are_no_file_are_errors(
    web: Web, tmp_path: Path, status: int, code: Exit, cause: str
) -> None:
    web.status = status
    with pytest.raises(StepError) as caught:
        fetch(web.address + "/a/data.bin", DIGEST, tmp_path)
    assert caught.value.code is code
    assert cause in caught.value.cause
    assert caught.value.remedy


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "http://nowhere.invalid/x"])
def test_server_that_is_not_there_is_a_network_error(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(StepError) as caught:
        fetch(url, DIGEST, tmp_path)
    assert caught.value.code is Exit.NETWORK
    assert "<" not in caught.value.cause and "Pool" not in caught.value.cause
    assert "mirrors" in caught.value.remedy


def test_address_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="no address that can be downloaded"):
        fetch("ftp://example.org/x", DIGEST, tmp_path)


def test_file_without_a_digest_is_downloaded_each_time_and_digested(
    web: Web, tmp_path: Path
) -> None:
    path, digest = fetch_unpinned(web.address + "/a/data.bin", tmp_path)
    assert (path.read_bytes(), digest) == (DATA, DIGEST)
    web.files["/a/data.bin"] = b"new"
    assert fetch_unpinned(web.address + "/a/data.bin", tmp_path)[0].read_bytes() == b"new"
