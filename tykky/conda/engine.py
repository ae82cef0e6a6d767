"""The process that runs rattler: it reads a job, does it, and writes what came of it.

``python -m tykky.conda.engine JOB.json`` where the job names the file for the result. Whoever
starts it goes by that file and not by the exit status, because rattler's threads now and then
crash while the interpreter ends; for the same reason it leaves without ending it.

Three jobs: ``solve`` finds the packages that satisfy specs, ``install`` makes an environment have
exactly the packages given, from files that are there already, and ``change`` takes some out and
puts others in, without a look at all the rest. A result is ``{"packages": ...}``,
``{"done": ..., "machine": ...}`` or ``{"error": {"kind": ..., "text": ...}}``.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import rattler
from rattler.exceptions import (
    FetchRepoDataError,
    GatewayError,
    InvalidMatchSpecError,
    SolverError,
)
from rattler.networking import Client
from rattler.networking.middleware import (
    AddHeadersMiddleware,
    MirrorMiddleware,
    RetryMiddleware,
)

from tykky.conda.channels import login
from tykky.conda.exchange import Shared, put_in, take_out

Job = Mapping[str, Any]
Result = dict[str, Any]

#: Where packages are unpacked while an environment is made. Below the prefix, so that their
#: files can become those of the environment by hard links; removed at the end.
UNPACKED = ".tykky-unpacked"

_RETRIES = 3


class Refused(Exception):
    """A job that cannot be done; ``kind`` says to a program why, ``facts`` what it is about."""

    def __init__(self, kind: str, text: str, **facts: Any) -> None:
        super().__init__(text)
        self.problem = {"kind": kind, "text": text, **facts}


def run(job: Job) -> Result:
    """Do a job and return the result; never raises."""
    try:
        return asyncio.run(_JOBS[job["do"]](job))
    except Refused as error:
        return {"error": error.problem}
    except Exception as error:
        return {"error": {"kind": "other", "text": f"{type(error).__name__}: {error}"}}


def main() -> None:
    """Do the job that the command line names, and leave without further ado."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    result = Path(job["result"])
    temporary = result.with_suffix(".new")
    temporary.write_text(json.dumps(run(job)), encoding="utf-8")
    temporary.replace(result)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


# -- solve --------------------------------------------------------------------------------


async def _solve(job: Job) -> Result:
    # Rattler tries again what a server answered with "not found", too, and waits in between; so
    # it does that only if it has to.
    for retries in (0, _RETRIES):
        client = _client(job.get("mirrors", {}), retries)
        gateway = rattler.Gateway(cache_dir=Path(job["cache"]), client=client)
        try:
            return await _solve_with(gateway, job)
        except (GatewayError, FetchRepoDataError) as error:
            if retries:
                bad = await _bad_channel(job, gateway)
                raise Refused("channel", str(error), channel=bad) from None
    raise AssertionError


def _client(mirrors: Mapping[str, list[str]], retries: int) -> Client:
    """A client that asks the mirrors of an address first, if there are any."""
    if not mirrors:
        return Client.default_client(max_retries=retries)
    plain: dict[str, list[str]] = {}
    logins: list[tuple[str | None, str, str]] = []
    for url, places in mirrors.items():
        for place in places:
            address, header = login(place)
            plain.setdefault(url, []).append(address)
            parts = urlsplit(address)
            logins += [(parts.hostname, parts.path, header)] if header else []

    def headers(host: str, path: str) -> dict[str, str] | None:
        for name, start, header in logins:
            if host == name and path.startswith(start):
                return {"Authorization": header}
        return None

    # Each sees the address that the one before it has chosen.
    retry, mirror = RetryMiddleware(retries), MirrorMiddleware(plain)
    return Client([retry, mirror, AddHeadersMiddleware(headers)])


async def _solve_with(gateway: rattler.Gateway, job: Job) -> Result:
    sources = [rattler.Channel(url) for url in job["channels"]]
    platforms = [job["subdir"], "noarch"]
    specs = [_spec(text) for text in job["specs"]]
    # Rattler reads only what fits a spec. What has the name in an earlier channel counts as well,
    # unless the spec says which channel is meant.
    plain = [spec for spec in specs if spec.channel is None and spec.name is not None]
    names = [rattler.MatchSpec(_name(spec)) for spec in plain] if job["strict"] else []
    present = _present(Path(job["prefix"]), job.get("free", ())) if job.get("prefix") else []
    end = datetime.fromisoformat(job["cutoff"]) if job.get("cutoff") else None
    priority = rattler.ChannelPriority.Strict if job["strict"] else rattler.ChannelPriority.Disabled
    try:
        records = await rattler.solve(
            sources,
            [*specs, *names],
            gateway=gateway,
            platforms=platforms,
            locked_packages=present,
            pinned_packages=present if job.get("freeze") else [],
            virtual_packages=_virtual(job["virtual_packages"]),
            channel_priority=priority,
            constraints=job.get("held", []),
            exclude_newer=end,
        )
    except SolverError as error:
        facts = await _unsolved(gateway, sources, platforms, specs)
        raise Refused("unsolvable", str(error), **facts) from None
    return {"packages": [_described(record) for record in records]}


def _spec(text: str) -> rattler.MatchSpec:
    try:
        return rattler.MatchSpec(text)
    except InvalidMatchSpecError as error:
        raise Refused("spec", str(error), spec=text) from None


def _name(spec: rattler.MatchSpec) -> str:
    return str(spec).split()[0].split("::")[-1].split("[")[0]


def _virtual(wanted: Iterable[Sequence[str]]) -> list[rattler.GenericVirtualPackage]:
    """The virtual packages ``(name, version, build)``; one named ``machine`` is all of this one."""
    found: dict[str, rattler.GenericVirtualPackage] = {}
    for name, version, build in wanted:
        if name == "machine":
            detected = [package.into_generic() for package in rattler.VirtualPackage.detect()]
            found.update({package.name.normalized: package for package in detected})
        else:
            found[name] = rattler.GenericVirtualPackage(
                rattler.PackageName(name), rattler.Version(version), rattler.BuildString(build)
            )
    return list(found.values())


def _present(prefix: Path, free: Sequence[str]) -> list[Any]:
    """What an environment has, but for the packages that are ``free`` to change."""
    paths = sorted((prefix / "conda-meta").glob("*.json"))
    records = (rattler.PrefixRecord.from_path(path) for path in paths)
    return [record for record in records if record.name.normalized not in free]


def _described(record: rattler.RepoDataRecord) -> Result:
    return {
        "name": record.name.normalized,
        "version": str(record.version),
        "build": str(record.build),
        "url": record.url,
        "sha256": record.sha256.hex() if record.sha256 else "",
        "md5": record.md5.hex() if record.md5 else "",
        "size": record.size or 0,
        "license": record.license or "",
    }


async def _unsolved(
    gateway: rattler.Gateway,
    sources: list[rattler.Channel],
    platforms: list[Any],
    specs: list[rattler.MatchSpec],
) -> Result:
    """Which of the names asked for are unknown, with names like them; else their versions.

    And channels in which nothing says when they came.
    """
    untimed: dict[str, str] = {}
    unknown: dict[str, list[str]] = {}
    versions: dict[str, list[str]] = {}
    known: list[str] = []
    for spec in specs:
        name = _name(spec)
        found = await gateway.query(sources, platforms, [name], recursive=False)
        records = [record for source in found for record in source]
        if records:
            newest = sorted({record.version for record in records}, reverse=True)
            versions[name] = [str(version) for version in newest[:8]]
            for record in records:
                if not (record.timestamp or record.indexed_timestamp):
                    untimed[name] = str(record.channel or "")
            continue
        if not known:
            known = [found.normalized for found in await gateway.names(sources, platforms)]
        unknown[name] = difflib.get_close_matches(name, known, n=3)
    return {"unknown": unknown, "versions": versions, "untimed": untimed}


async def _bad_channel(job: Job, gateway: rattler.Gateway) -> str:
    """The channel to blame, as far as asking each by itself can tell."""
    urls: list[str] = job["channels"]
    if len(urls) == 1:
        return urls[0]
    for url in urls:
        try:
            await gateway.names([rattler.Channel(url)], [job["subdir"], "noarch"])
        except (GatewayError, FetchRepoDataError):
            return url
    return ""


# -- install ------------------------------------------------------------------------------


async def _install(job: Job) -> Result:
    prefix = Path(job["prefix"])
    with _unpacking(prefix):
        records = [await _record(prefix, package) for package in job["packages"]]
        await _link(records, prefix, job)
    asked = _asked(job["specs"])
    for package in job["packages"]:
        _settle(prefix, package, asked)
    return _done(records)


async def _change(job: Job) -> Result:
    """Link what has come in a folder beside, as if it were the prefix, and move it there then."""
    prefix = Path(job["prefix"])
    asked, earlier = _asked(job["specs"]), _asked(job["earlier"])
    try:
        with _unpacking(prefix):
            take_out(prefix, job["gone"])
            side = prefix / UNPACKED / "side"
            own = side / "conda-meta"
            own.mkdir(parents=True)
            # What is for any Python is linked for the one that there is.
            there = [_alone(prefix, own, stem) for stem in job["python"]]
            records = [await _record(prefix, package) for package in job["packages"]]
            more = {"installed_packages": there, "alternative_target_prefix": prefix}
            await _link([*there, *records], side, job, **more)
            for name in ("history", *(f"{stem}.json" for stem in job["python"])):
                (own / name).unlink(missing_ok=True)
            for package in job["packages"]:
                _settle(side, package, asked)
            put_in(side, prefix)
    except Shared as error:
        raise Refused("layers", str(error)) from None
    for package in job["kept"]:
        wanted = asked.get(name := package["package"], [])
        if package["moved"] or wanted != earlier.get(name, []):
            _settle(prefix, package, {name: wanted})
    return _done(records)


@contextlib.contextmanager
def _unpacking(prefix: Path) -> Iterator[None]:
    """Have a folder where packages are unpacked, for as long as they are linked from it."""
    (prefix / UNPACKED).mkdir(parents=True)
    try:
        yield
    finally:
        shutil.rmtree(prefix / UNPACKED, ignore_errors=True)


async def _link(
    records: Sequence[rattler.RepoDataRecord], prefix: Path, job: Job, **more: Any
) -> None:
    try:
        await rattler.install(
            list(records),
            prefix,
            cache_dir=Path(job["prefix"]) / UNPACKED,
            show_progress=False,
            execute_link_scripts=False,
            platform=rattler.Subdir(job["subdir"]),
            **more,
        )
    except Exception as error:  # rattler has many classes for it
        raise Refused("install", str(error)) from None
    (prefix / "CACHEDIR.TAG").unlink(missing_ok=True)


def _asked(specs: Sequence[str]) -> dict[str, list[str]]:
    asked: dict[str, list[str]] = {}
    for text in specs:
        asked.setdefault(_name(_spec(text)), []).append(text)
    return asked


def _done(records: Sequence[rattler.RepoDataRecord]) -> Result:
    order = rattler.PackageRecord.sort_topologically(list(records))
    machine = _virtual([("machine", "", "")])
    return {
        "done": [record.name.normalized for record in order],
        "machine": {package.name.normalized: str(package.version) for package in machine},
    }


def _alone(prefix: Path, folder: Path, stem: str) -> rattler.PrefixRecord:
    """A package that is there, in a folder as if it had no files."""
    path = folder / f"{stem}.json"
    record = json.loads((prefix / "conda-meta" / path.name).read_text(encoding="utf-8"))
    record |= {"files": [], "paths_data": {"paths_version": 1, "paths": []}}
    path.write_text(json.dumps(record), encoding="utf-8")
    return rattler.PrefixRecord.from_path(path)


async def _record(prefix: Path, package: Mapping[str, str]) -> rattler.RepoDataRecord:
    """What is known of a package: from the environment if it is there, else from its file."""
    there = prefix / "conda-meta" / f"{package['stem']}.json"
    if there.exists():
        present = rattler.PrefixRecord.from_path(there)
        if present.sha256 and present.sha256.hex() == package["sha256"]:
            return present
    # The cache's name of the file is its digest; rattler goes by the ending.
    link = prefix / UNPACKED / package["name"]
    link.symlink_to(package["file"])
    try:
        record = await rattler.RepoDataRecord.from_package_archive(link)
    except Exception as error:
        raise Refused("package", str(error), package=package["name"]) from None
    record.url, record.file_name = link.as_uri(), package["name"]
    return record


def _settle(prefix: Path, package: Mapping[str, str], asked: Mapping[str, Sequence[str]]) -> None:
    """Let the environment's record of a package say who asked for it and where it is from.

    Where it lay when it was unpacked is of no interest, and not the same everywhere.
    """
    path = prefix / "conda-meta" / f"{package['stem']}.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["url"], record["channel"] = package["url"], package["channel"]
    record["requested_specs"] = list(asked.get(record["name"], record.get("requested_specs", ())))
    for key in ("extracted_package_dir", "package_tarball_full_path", "link"):
        record.pop(key, None)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


_JOBS = {"solve": _solve, "install": _install, "change": _change}

if __name__ == "__main__":
    main()
