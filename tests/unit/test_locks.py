"""Locks whose files may be removed."""

from __future__ import annotations

import getpass
import multiprocessing
import subprocess
from pathlib import Path

import filelock
import pytest

from tests.slurm import wait_for
from tykky.files import Permissions
from tykky.host import host_name
from tykky.store import Place
from tykky.store.claims import Lock, claim, is_held, remove_unused, take


def test_lock_that_is_held_is_not_removed_and_others_are(tmp_path: Path) -> None:
    held, free = tmp_path / "held.lock", tmp_path / "free.lock"
    free.touch()
    with Lock(held):
        assert remove_unused([held, free]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["held.lock"]


def test_holder_of_a_file_that_lost_its_name_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if it was removed and made anew between being opened and being locked."""
    file, tried = tmp_path / "lock", []
    take = filelock.FileLock._acquire

    def interrupted(self: filelock.FileLock) -> None:
        take(self)
        if not tried:
            tried.append(file)
            file.unlink()
            file.touch()

    monkeypatch.setattr(filelock.FileLock, "_acquire", interrupted)
    with Lock(file), pytest.raises(filelock.Timeout):
        Lock(file, timeout=0, is_singleton=False).acquire()
    assert tried


def _count(file: Path, counter: Path, times: int) -> None:
    for _ in range(times):
        with Lock(file):
            counter.write_text(str(int(counter.read_text()) + 1))


def test_nobody_is_let_in_beside_another_while_locks_are_removed(tmp_path: Path) -> None:
    file, counter = tmp_path / "lock", tmp_path / "counter"
    counter.write_text("0")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_count, args=(file, counter, 50)) for _ in range(3)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        remove_unused([file])
    assert [worker.exitcode for worker in workers] == [0] * 3
    assert counter.read_text() == "150"


def test_only_who_may_write_can_open_a_lock_and_who_waits_hears_who_has_it(tmp_path: Path) -> None:
    place = Place(tmp_path / "hello/1.0")
    file, owner, said = place.hidden / "lock", place.hidden / "owner", list[str]()
    for folder, shown, mode in (
        (0o755, False, 0o600),
        (0o775, False, 0o660),
        (0o777, False, 0o666),
        (0o755, True, 0o644),
    ):
        lock = take(file, Permissions(folder=folder), "it", shown=shown, timeout=0)
        assert lock is not None and file.stat().st_mode & 0o777 == mode
        lock.release()
    # A note of somebody who is gone does not hide who it is.
    owner.write_text(f"eve on {host_name()}, process 1, since then")
    assert not is_held(file, owner)
    with subprocess.Popen(["flock", "--no-fork", file, "sleep", "60"]) as process:
        wait_for(lambda: is_held(file, owner))

        def waiting(sentence: str) -> None:
            said.append(sentence)
            process.kill()

        with claim(place, "hello/1.0", waiting, Permissions()) as held:
            assert held
    (sentence,) = said
    assert f"by process {process.pid} of {getpass.getuser()} on " in sentence, sentence
