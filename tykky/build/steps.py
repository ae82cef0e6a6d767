"""The steps of the pipeline that make a generation: each takes the work, and gives what it made."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import tykky
from tykky import console, contents
from tykky.build import commands, keeping, layered, mpi, restoring
from tykky.build.box import TestBox
from tykky.build.entering import Entering, as_published, launch_plan, of_needs
from tykky.build.layout import Images, Offer
from tykky.build.plan import keep_inputs, record_of
from tykky.build.work import Work
from tykky.errors import Exit, StoreError, TykkyError, explained, from_os_error
from tykky.files import count, discard, make_folder, write_file
from tykky.inventory import completing, filling
from tykky.inventory import files as listed
from tykky.recipe import recipe_code
from tykky.runtime.base import LaunchPlan
from tykky.store import Record, place, signatures
from tykky.store.place import Draft
from tykky.tools import checkouts
from tykky.tools.git import state_of
from tykky.tools.squash import settle, squash


@dataclass(frozen=True)
class Built:
    """Finished contents: their commands, packages, how they are entered, and their images."""

    offer: Offer
    programs: tuple[str, ...]
    packages: tuple[contents.Installed, ...]
    entering: Entering
    images: tuple[dict[str, Any], ...] = ()
    files: tuple[str, ...] = ()  # the paths of those of the contents
    old: Record | None = None  # the generation that they are taken from


def assemble(work: Work, ground: Record | None = None) -> Built:
    """Build, finish and squash the contents; from then on the scratch directory is empty.

    Where it can be, only what differs from the ``ground`` is built, as a layer on the images of
    that generation.
    """
    built, top = None, work.scratch.top
    below: Images = ()
    if ground is not None:
        try:
            built = layered.changed(work, ground, _contents)
            top, below = work.scratch.layer / "upper", ground.images
        except layered.NoLayers as error:
            if work.plan.layout.upon:
                error.remedy = error.remedy or "ask for other packages"
                raise
            work.desk.remark(f"{error.cause}, so that all is built anew")
            work.scratch.renew()
            work.scratch.top.mkdir()
    built = built or _contents(work)
    return _squash(work, built, top, below) if work.plan.layout.has_image else built


def _contents(work: Work) -> Built:
    with work.desk.step("build") as line:
        box = work.plan.layout.box(replace(work, line=line))
        work.plan.layout.start(work)
        if work.before is not None:
            contents.take_out(box)
        work.call(box, "assemble")
    work.tell(box)
    return _finish(work)


def _squash(work: Work, built: Built, top: Path, below: Images) -> Built:
    """Make an image of the tree ``top``; a layer, if there are images ``below``."""
    plan = work.plan
    with work.desk.step("squash") as line:
        record = plan.layout.amend(_record(work, built))
        if record.has_module:
            with explained("put a copy of the record into the image", "build_dir"):
                restoring.put_copy(top, record, plan.recipe, () if plan.layout.upon else below)
        if plan.layout.settles:
            settle(top)
        files, paths, what = count(top), tuple(listed.below(top)), "one image"
        if below:
            paths, what = tuple(layered.paths(plan, top)), "a layer"
        line.update(f"{files} files into {what}")
        options, before = plan.layout.squash_options(work), {*plan.place.images.iterdir()}
        image = squash(top, plan.place.images, work.config, work.run, options)
        if (path := plan.place.images / image.file) not in before:  # else it is others' as well
            work.desk.store.permissions.apply(path)
        work.scratch.renew()
        line.tell(image=image)
        line.update(f"{files} files into {what} of {console.size(image.bytes)}")
    work.desk.log.note(f"image {image.sha256}, place {plan.prefix}")
    facts = asdict(image) | ({"parent": below[-1]["sha256"]} if below else {})
    own = () if plan.layout.upon else map(dict, below)
    return replace(built, images=(*own, facts), files=paths)


def _finish(work: Work) -> Built:
    """The recipe's own last touch; see which commands there are; then the kind's touch."""
    plan = work.plan
    with work.desk.step("finish") as line:
        box = plan.layout.box(replace(work, line=line))
        work.call(box, "equip", "finish")
        # A command that is not there is better found before the byte code is made.
        line.update("the commands")
        offer = plan.layout.offer(work)
        there = tuple(commands.programs(work.scratch.top / "bin"))
        if not offer.names and commands.ALL in plan.recipe.commands:
            work.desk.remark("the stack has no programs: only stacks that need it see what it has")
        work.call(box, "seal")
        with recipe_code(plan.recipe, "contents"):
            found = tuple(plan.recipe.contents(box))
        if found and (longer := plan.layout.with_listing(offer)):
            contents.put(found, box)
            offer = longer
        urls = {sha256: facts["url"] for sha256, facts in work.fetched.items()}
        found = (*filling.filled(found, plan.lock, urls), *filling.of_base(plan.base))
        if database := filling.unread(plan.base, found):
            work.desk.remark(f"the packages of the base are not known: nothing reads {database}")
        entering = plan.layout.enter(work, box, offer)
        entering = replace(entering, mpi=mpi.find(plan.recipe, box, found))
        plan.layout.finish(work, offer)
        line.update(console.plural(len(offer.names), "command"))
    work.tell(box)
    return Built(offer, there, found, entering)


def reuse(work: Work, old: Record) -> Built:
    """The contents of another generation, entered and offered as the recipe says now."""
    recipe, there = work.plan.recipe, old.programs
    names = old.commands
    if commands.are_plain(recipe):
        chosen = set(commands.choose_again(recipe, there))
        names = tuple(sorted(chosen | ({contents.COMMAND} & {*old.commands})))
    # What it needs may have got another number, with the same contents.
    entering = replace(Entering.read(old.launch), **of_needs(work.plan.needs))
    entering = as_published(entering, recipe, work.config)
    folder = work.plan.place.generation(old.generation)
    if completing.lacks(folder):
        found = completing.completed(work.plan.place, old, work.config)
    else:
        found = contents.of_install(folder)
    work.read.update(old.read)
    work.fetched.update({facts["sha256"]: dict(facts) for facts in old.fetched})
    images = tuple(map(dict, old.images))
    paths = tuple(listed.own(folder, old))
    return Built(Offer(names), there, found, entering, images, paths, old)


def write(work: Work, draft: Draft, built: Built) -> LaunchPlan:
    """Everything of a generation but its record and its log; how it is entered."""
    plan, permissions = work.plan, work.desk.store.permissions
    for lacking in keep_inputs(plan, built.packages, draft.path, permissions):
        work.desk.remark(f"{lacking}: 'tykky rebuild' needs it where it is")
    wraps = plan.recipe.wraps_base or not plan.layout.has_image
    paths = (*built.files, *(listed.of_base(plan.base) if wraps else ()))
    write_file(draft.path / listed.FILE, listed.render(paths), permissions)
    plan.layout.fill(work, draft, built.offer, built.images)
    names, number = built.offer.names, draft.number
    launch = launch_plan(
        built.entering, plan.module, plan.prefix, number, built.images, names, work.config
    )
    commands.lay_launch(launch, draft.path, permissions)
    return launch


def test(work: Work, draft: Draft, built: Built, launch: LaunchPlan) -> None:
    """Try the generation as a user would: its real commands, before anybody else has them."""
    trial = draft.path / "trial"
    names = built.offer.names
    with work.desk.step("test") as line:
        try:
            make_folder(work.plan.prefix / "bin", work.desk.store.permissions)
            commands.lay_commands(draft.place, names, trial, work.desk.store.permissions)
            work.scratch.renew()
            work = replace(work, line=line)
            box = work.open(TestBox, draft=draft, commands=trial, cwd=work.scratch.empty)
            box.seen = [draft.place.prefix, *launch.sources]
            work.plan.layout.prove(work, box)
        except OSError as error:
            raise from_os_error(error, "try the commands") from error
        except TykkyError as error:
            check_needs(work)  # without which nothing can work
            if error.code == Exit.BUILD:
                error.code = Exit.TEST
                error.remedy = error.remedy or "correct the recipe or its lock, then install"
            raise
        finally:
            discard(trial)
        line.update(f"{console.plural(len(names), 'command')} of the new generation")


def _record(work: Work, built: Built) -> Record:
    """The record, as far as it does not depend on the image."""
    return replace(
        record_of(work.plan, work.desk.clock.steps, work.read),
        commands=built.offer.names,
        programs=built.programs,
        launch=asdict(built.entering),
        packages=tuple((p.name, p.version) for p in contents.own(built.packages)),
    )


def commit(work: Work, draft: Draft, built: Built) -> Record:
    """Give the generation its number, after everything it speaks of is safe on disk."""
    plan, permissions = work.plan, work.desk.store.permissions
    with work.desk.step("commit") as line:
        if built.old is None:
            work.desk.log.keep(draft.path, permissions)
        else:
            # How the contents were built, of which this is another generation.
            with contextlib.suppress(OSError):
                old = plan.place.generation(built.old.generation)
                log = draft.path / "build.log.gz"
                shutil.copy2(old / log.name, log)
                permissions.apply(log)
        record = _record(work, built)
        record = replace(
            record,
            generation=draft.number,
            by={**record.by, **_own_commit()},
            images=built.images,
            fetched=_fetched(work),
            repository=_repository(work) if plan.layout.has_repository else {},
        )
        record = plan.layout.amend(record)
        if problem := keeping.keep_bill(record, built.packages, draft.path, permissions):
            work.desk.remark(problem)
        record = replace(record, files=count(draft.path) + 1 + len(built.images))
        record = place.commit(draft, record, permissions, signatures.signer(work.config))
        line.tell(record=record)
        line.update(f"{record.title}, {console.plural(len(record.commands), 'command')}")
    return record


def _repository(work: Work) -> dict[str, str]:
    """What git knows of the recipe's folder."""
    folder, config = work.plan.recipe.directory, work.config
    remote = config.remotes.get(folder.parent)
    return checkouts.state_of(remote, folder, config.cache_dir) if remote else state_of(folder)


def _own_commit() -> dict[str, str]:
    """Of a Tykky that is used from its own repository, the commit."""
    own = Path(tykky.__file__).parents[1]
    state = state_of(own) if (own / ".git").exists() else {}
    return {"commit": f"{state['commit']} ({state['state']})"} if state else {}


def _fetched(work: Work) -> tuple[dict[str, Any], ...]:
    """What was downloaded besides the packages, of which the lock tells the files."""
    locked = {package.sha256 for package in work.plan.lock.packages}
    found = (facts for sha256, facts in work.fetched.items() if sha256 not in locked)
    return tuple(sorted(found, key=lambda facts: (facts["name"], facts["sha256"])))


def check_needs(work: Work) -> None:
    """Raise ``StoreError`` if a generation is gone, or another has got its number meanwhile."""
    for needed in work.plan.needs:
        here, found = place.Place(Path(needed.prefix)), ""
        with contextlib.suppress(StoreError):
            found = here.record(needed.generation).build
        if found != needed.build:
            cause = f"{needed.title}, which {work.plan.module} needs, was removed meanwhile"
            remedy = "install that again, then run the same command again"
            raise StoreError(cause, remedy=remedy, code=Exit.CONFLICT)
