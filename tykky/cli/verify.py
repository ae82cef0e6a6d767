"""Check installs: is every file, command and module what was installed?

Reads every image whole, but once, so it takes seconds for each; made for a weekly cron job. What is
wrong is named with what brings it back; so are folders of the root that others may write to.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tykky import console
from tykky.bases import cache
from tykky.cli.common import Call, Result, flag, named, place_of, specs
from tykky.doctor.places import openings
from tykky.errors import ConfigError, Exit, StoreError, ToolError, TykkyError
from tykky.runtime.base import CURRENT
from tykky.spec import is_path, parse_one
from tykky.store import Entry, NewerFormat, Record, Store, journal, signatures
from tykky.store.check import strays
from tykky.store.inspection import Inspector, Names
from tykky.store.record import NAME
from tykky.store.written import Fault

EXAMPLES = """\
  tykky verify                  everything
  tykky verify python-data      every version of it, with all generations
  tykky verify python-data#6    one generation
  tykky verify --signatures     is it also signed by somebody who may? tells by whom
  tykky verify --json           for programs
"""

ARGUMENTS = (
    specs("only these", "*"),
    flag("--signatures", help="require a good signature of each generation, and tell whose it is"),
)


def run(call: Call) -> Result:
    """Say for each install what is not whole; exit 28 if anything is."""
    if call.args.signatures and call.config.signing.allowed_signers is None:
        cause = "nothing says whose signatures count: signing.allowed_signers is empty"
        remedy = "name a list of them, as in ALLOWED SIGNERS of ssh-keygen(1): 'tykky config set "
        raise ConfigError(cause, remedy=f"{remedy}signing.allowed_signers FILE'")
    calls: dict[Path, tuple[Call, list[str]]] = {}
    for word in named(call.args.spec):
        there = call.having(word)
        calls.setdefault(there.config.root, (there, []))[1].append(word)
    looked = [look_at(*each) for each in calls.values() or [(call, [])]]
    answers = [answer for found, _ in looked for answer in found]
    bad, count = [a for a in answers if a["faults"]], sum(number for _, number in looked)

    def tell() -> None:
        for answer in answers if call.args.signatures else ():
            if (signed := answer.get("signature", {})).get("state") == "good":
                by = f"signed by {signed['by']}, {signed['when']}"
                console.say(f"{answer['module']}: {by}")
        show(bad, count)

    return Result(answers, tell, Exit.DAMAGED if bad else Exit.OK)


def look_at(call: Call, words: Sequence[str]) -> tuple[list[dict[str, Any]], int]:
    """What was found of these installs of a root, or of all with the root; how many there are."""
    store, look = call.store, _Look(call)
    if not words:
        look.at_the_root()
    entries, records = meant(store, words)
    for entry in entries:
        records += look.at_a_place(entry)
    images = [place_of(r).images / image["file"] for r in records for image in r.images]
    with console.step("verify", console.plural(len(records), "generation")) as line:

        def tell(done: int, total: int) -> None:
            line.update(f"{console.size(done)} of {console.size(total)} of images read")

        look.inspector.read(images, call.config.jobs, tell)
        for record in records:
            look.at_a_generation(record)
        line.update(console.plural(len(records), "generation"))
    if look.unsigned:
        count = console.plural(len(look.unsigned), "generation")
        console.warn(f"{count} without the signature of an allowed signer; {look.unsigned[0]}")
    if look.closed:
        console.note(f"closed to you, and left out: {', '.join(look.closed)}")
    every = {record.prefix for record in records} | {entry.prefix for entry in entries}
    return look.answers(), len(every) - len(look.closed)


def meant(store: Store, words: Sequence[str]) -> tuple[list[Entry], list[Record]]:
    """The installs that are meant as a whole (all without words), and the generations by number."""
    records = [store.generation(word) for word in words if "#" in word]
    entries = [] if words else store.match(None)
    for word in words:
        if is_path(word) and "#" not in word:
            entries.append(store.one(word))
        elif "#" not in word:
            entries += store.match(parse_one(word)) or [store.one(word)]  # which says there is none
    return [*{entry.prefix: entry for entry in entries}.values()], records


class _Look:
    """What was looked at, and what is wrong with it: no file is named twice for one install."""

    def __init__(self, call: Call) -> None:
        self.call, self.inspector = call, Inspector(call.store.permissions)
        self.found: dict[tuple[str, str], dict[Path, Fault]] = {}
        self.closed: list[str] = []
        self.unsigned: list[str] = []
        self.signed: dict[tuple[str, str], signatures.Verdict] = {}

    def note(self, module: str, prefix: str, faults: Iterable[Fault]) -> None:
        """Keep what is wrong with one of them."""
        known = self.found.setdefault((module, prefix), {})
        try:
            for fault in faults:
                known.setdefault(fault.path, fault)
        except OSError as error:  # it goes away while it is looked at, or cannot be read
            path = Path(error.filename or prefix)
            known.setdefault(path, Fault(path, f"cannot be read: {error.strerror}"))
        except StoreError as error:
            known.setdefault(Path(prefix), Fault(Path(prefix), error.cause, error.remedy))

    def at_the_root(self) -> None:
        """What is strange in the database and among the modules, and who else may write there."""
        call = self.call
        every = (strays(call.store), journal.faults(call.store), call.publisher.orphans())
        for found in (*every, _open(call)):
            try:
                for fault in found:
                    self.note("", str(fault.path), [fault])
            except (TykkyError, OSError) as error:
                root = call.store.root
                self.note("", str(root), [Fault(root, f"cannot be read: {error}")])

    def at_a_place(self, entry: Entry) -> list[Record]:
        """The generations of a place that can be read, in order."""
        place = place_of(entry)
        if place.is_closed:
            self.closed.append(entry.module)
            return []
        own = self.call.store.place(entry.name, f"{entry.version}{entry.suffix}")
        name = entry.module if place == own else shlex.quote(entry.prefix)
        wrong: list[Fault] = []
        found: list[Record] = []
        is_lost = place.is_lost and not place.records()
        if is_lost or not place.numbers:
            gone, back = "is gone: nothing is installed there", "'tykky reindex'"
            if is_lost:
                gone, back = "has images and no generation", "'tykky doctor --store --fix'"
            wrong.append(Fault(place.prefix, gone, f"{back}, or install it again"))
        elif not place.current:
            current = place.hidden / CURRENT
            wrong.append(
                Fault(current, "is wrong: no generation is current", f"'tykky rollback {name}'")
            )
        for number in [] if is_lost else place.numbers:
            try:
                found.append(place.record(number))
            except (TykkyError, OSError) as error:
                gone = f"'tykky uninstall {name}#{number}'"
                again = f"'tykky install --force {entry.name}@{entry.version}', then {gone}"
                path = place.generation(number) / NAME
                remedy = again if number == place.current else gone
                if isinstance(error, NewerFormat):
                    remedy = error.remedy
                wrong.append(Fault(path, str(error).removeprefix(f"{path} "), remedy))
        if wrong:
            self.note(entry.module, entry.prefix, wrong)
        return found

    def at_a_generation(self, record: Record) -> None:
        """A generation; if it is the current one, all else of its place."""
        is_current = record.generation == place_of(record).current
        title = record.module if is_current else record.title
        self.note(title, record.prefix, self._signature(title, record))
        self.note(title, record.prefix, self.inspector.generation(record))
        self.note(title, record.prefix, self._base(record))
        if is_current:
            self.note(title, record.prefix, self.inspector.place(record))
            self.note(title, record.prefix, self.call.publisher.faults(record))

    def _signature(self, title: str, record: Record) -> Iterator[Fault]:
        """What is wrong with the signature of a generation, as far as the site cares."""
        config, wanted = self.call.config.signing, getattr(self.call.args, "signatures", False)
        policy = "require" if wanted else config.policy
        if policy == "ignore" or (policy == "warn" and config.allowed_signers is None):
            return
        folder = place_of(record).generation(record.generation)
        try:
            verdict = signatures.of_generation(folder, self.call.config)
        except (ConfigError, ToolError) as error:  # which is no reason to look at nothing else
            path = config.allowed_signers or folder
            self.note("", str(path), [Fault(path, f"is of no use: {error.cause}", error.remedy)])
            return
        self.signed[title, record.prefix] = verdict
        path = folder / signatures.NAME
        if verdict.state == "bad":
            yield Fault(path, verdict.why, Names.of(record, place_of(record)).again)
        elif verdict.state != "good" and policy == "require":
            name = record.title if record.has_module else shlex.quote(record.prefix)
            yield Fault(path, verdict.why, f"if you answer for it: 'tykky sign {name}'")
        elif verdict.state != "good":
            self.unsigned.append(f"{record.title}: its signature {verdict.why}")

    def _base(self, record: Record) -> Iterator[Fault]:
        """What is wrong with the image that an install runs on."""
        digest, config = record.base.get("digest", ""), self.call.config
        pulled = cache.by_digest(config, digest) if digest else None
        place, root = place_of(record), str(record.launch.get("root") or "")
        path = Path(root.replace("$PREFIX", record.prefix))
        if not root and pulled:
            path = cache.file_of(config, pulled)
        if not (root or pulled) or path.is_dir():
            return
        if digest and digest in record.needed.values():
            return  # what the stack runs on that this one is on top of, and told of with that
        wrong, size = "", record.launch.get("root_size") or (pulled.bytes if pulled else 0)
        if not path.is_file():
            wrong = "is missing"
        elif size and path.stat().st_size != size:
            wrong = f"has {path.stat().st_size} bytes instead of {size}"
        elif pulled or "://" not in record.base.get("name", "://"):
            known = {digest, pulled.sha256 if pulled else digest}
            found = self.inspector.sum(path)
            wrong = "" if found in known else f"its sha256 is {found}"
        if wrong:
            remedy = "pull it again: 'tykky base verify' says how"
            if place.images in path.parents or not pulled:
                remedy = "put it back, or make the installation anew"
            yield Fault(path, f"is the image it runs on: {wrong}", remedy)

    def answers(self) -> list[dict[str, Any]]:
        """What was found, for programs."""
        return [
            {
                "module": module,
                "prefix": prefix,
                **({"signature": asdict(signed)} if (signed := self.signed.get(key)) else {}),
                "faults": [
                    {"file": str(f.path), "wrong": f.wrong, "remedy": f.remedy}
                    for f in faults.values()
                ],
            }
            for key, faults in self.found.items()
            for module, prefix in [key]
        ]


def _open(call: Call) -> Iterator[Fault]:
    """The folders of the root, and above it, that others may write to."""
    for way in openings(call.config, ("root", "module_path", "bases_dir")).values():
        yield Fault(way.path, way.why, f"'{way.remedy}'")


def show(wrong: list[dict[str, Any]], count: int) -> None:
    """Print what is wrong, and below each what brings it back."""
    for answer in wrong:
        lost = [fault for fault in answer["faults"] if fault["wrong"].startswith("is missing")]
        if len(lost) > 3:
            files = f"{console.plural(len(lost), 'file')} of {answer['module'] or 'the root'}"
            console.say(f"{files} are gone; whoever cleans this file system may have taken them")
            console.say("  'tykky doctor --store --fix' makes again what can be made from the rest")
        for fault in answer["faults"]:
            console.say(f"{answer['module'] or 'root'}: {fault['file']} {fault['wrong']}")
            if fault["remedy"]:
                console.say(f"  {fault['remedy']}")
    modules = {answer["module"].partition("#")[0] for answer in wrong}
    console.note(f"verified {console.plural(count, 'install')}, {len(modules)} not whole")
    if wrong:
        console.note("below each is what brings it back")
