"""``Recipe``, the base of all kinds of stacks."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeVar

from tykky.recipe.check import check_class
from tykky.recipe.choices import Variant, Version, declared
from tykky.recipe.source import is_recipe, recipe_file
from tykky.spec import Spec

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Recipe:
    """What one stack is made of: a data sheet, properties for what depends on a choice, steps.

    The class is the recipe; an instance is the recipe with a version and all choices settled.
    ``Recipe`` holds the fields that every kind has. A kind adds fields as public, annotated
    class attributes (``ClassVar`` ones are not fields) and steps as public methods.
    """

    homepage: str = ""
    """Where the software is documented for users; required."""
    license: str = ""
    """The licence, as an SPDX identifier or in words; required."""
    maintainers: tuple[str, ...] = ()
    """Who to ask about this recipe."""
    versions: tuple[Version, ...] = ()
    """The versions on offer, the default first; required."""
    deprecated: bool | str = False
    """True, or the sentence that users are told, if the whole recipe is on its way out."""
    base: str | Mapping[str, str] = ""
    """What the stack is built in and runs on, perhaps by architecture; empty: as configured."""
    runtime: Literal["", "native", "apptainer", "auto"] = ""
    """How the stack is entered; empty: as configured."""
    isolation: Literal["", "open", "mounts", "closed"] = ""
    """How much of the host its programs see; empty: as configured."""
    binds: tuple[str, ...] = ()
    """Places of the host that are visible in any case: ``/data``, or ``/host/place:/inside``."""
    commands: tuple[str, ...] | Mapping[str, str] = ()
    """Globs of the programs to offer, or a mapping from command names to programs."""
    env: Mapping[str, str] = _NOTHING
    """Environment variables inside the stack."""
    setenv: Mapping[str, str] = _NOTHING
    """Environment variables that the module sets for everything the user runs."""
    family: str = ""
    """The Lmod family: of modules in one family, only one is loaded at a time."""
    keywords: tuple[str, ...] = ()
    """Words under which ``module keyword`` finds the stack."""
    needs: tuple[Spec, ...] = ()
    """Other stacks of Tykky that must be there and are mounted together with this one."""
    loads: tuple[str, ...] = ()
    """Modules of the site that the module depends on."""
    gpu: Literal["", "nvidia", "amd"] = ""
    """The make of graphics processors that the stack uses."""
    mpi: Literal["", "host", "own"] = ""
    """Whose MPI its programs run with: that of the host or base, or one of its own."""
    slurm: Mapping[str, str] = _NOTHING
    """What the job of a build needs: ``time``, ``memory``, ``cpus``, ``gpus``, ``constraint``."""
    network: bool = False
    """Whether the recipe's own steps and its test reach out to the network."""
    reads: tuple[str, ...] = ()
    """Places of the host that its steps and its test read, besides the system's: ``/appl/gcc``."""
    unlocked: str = ""
    """Why no lock comes with the recipe, if none does: then audits do not ask for one."""
    whole: bool | None = None
    """Whether it is always one image, and never a layer; by itself, if it has a step of its own."""

    kind: ClassVar[str] = ""
    name: ClassVar[str] = ""
    file: ClassVar[Path]
    directory: ClassVar[Path]
    description: ClassVar[str] = ""
    long_description: ClassVar[str] = ""

    version: Version
    choices: Mapping[str, bool | str]

    def __init_subclass__(cls, **keywords: object) -> None:
        super().__init_subclass__(**keywords)
        if not is_recipe(cls):
            if "kind" not in vars(cls):
                cls.kind = cls.__name__.removesuffix("Stack").lower()
            return
        written = {name: value for name, value in vars(cls).items() if not name.startswith("_")}
        cls.file = recipe_file(cls)
        cls.directory = cls.file.parent
        cls.name = cls.directory.name
        if cls.__doc__:
            first, _, rest = inspect.cleandoc(cls.__doc__).partition("\n")
            cls.description, cls.long_description = first.strip(), rest.strip()
        check_class(cls, written, RESERVED)

    def __init__(self, version: str, choices: Mapping[str, bool | str] | None = None) -> None:
        """Select one of the versions, and choices; the variants not named have defaults.

        ``ValueError`` for what the recipe does not offer: :meth:`tykky.repos.Repos.select`
        checks what users ask for, with better words.
        """
        known = self.variants()
        chosen = {name: variant.default for name, variant in known.items()} | dict(choices or {})
        for name, value in chosen.items():
            if name not in known or value not in known[name].values:
                raise ValueError(f"{self.name} offers no {name}={value}")
        if version not in self.versions:
            raise ValueError(f"{self.name} has no version {version}")
        self.version = self.versions[self.versions.index(Version(version))]
        self.choices = MappingProxyType(chosen)

    @classmethod
    def variants(cls) -> dict[str, Variant]:
        """The choices on offer, in the order in which they were declared."""
        found = {name: getattr(cls, name) for name in declared(cls.__mro__)}
        return {name: value for name, value in found.items() if isinstance(value, Variant)}

    @property
    def spec(self) -> Spec:
        """The spec that selects exactly this, with all choices spelled out."""
        return Spec(self.name, str(self.version), self.choices)

    @property
    def suffix(self) -> str:
        """What the choices add to the module's version: ``-nojupyter-cuda12``, or nothing."""
        return "".join(
            variant.suffix(self.choices[name]) for name, variant in self.variants().items()
        )

    @property
    def deprecation(self) -> str:
        """What to tell users of this version if it is deprecated, otherwise empty."""
        reason = self.version.deprecated or self.deprecated
        if reason is True:
            return "it will be removed"
        return reason or ""

    def beside(self, name: str) -> Path:
        """A file that comes with the recipe: beside it, or beside the recipe that it extends.

        The path is where the recipe's own file would be if there is none anywhere.
        """
        places = [recipe_file(base).parent / name for base in type(self).__mro__ if is_recipe(base)]
        return next((path for path in places if path.exists()), self.directory / name)

    def test(self, box: Any) -> None:
        """Try the finished stack; a program that fails in ``box.run`` means no install."""

    def __repr__(self) -> str:
        return f"<recipe {self.spec}>"


RESERVED = frozenset(
    {"kind", "name", "file", "directory", "description", "long_description", "version", "choices"}
    | {"variants", "spec", "suffix", "deprecation", "beside"}
)

_AnyRecipe = TypeVar("_AnyRecipe", bound=Recipe)


def selections(cls: type[_AnyRecipe]) -> Iterator[_AnyRecipe]:
    """Every version with every combination of choices, the defaults first."""
    variants = cls.variants()
    for version in cls.versions:
        for values in product(*(variant.values for variant in variants.values())):
            yield cls(version, dict(zip(variants, values, strict=True)))
