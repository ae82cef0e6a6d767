"""Recipe repositories, in order: the first that has a recipe wins.

A repository is a directory with one folder per recipe, each with a ``recipe.py``, and perhaps
a ``repo.yaml`` that gives the repository a namespace. A site puts its own repository first and
extends what comes after: ``from tykky.repos.builtin import PythonData as Upstream``, or
``from tykky.repos.<namespace> import ...`` for a repository with a namespace.

Public name: ``Repos``.
"""

from tykky.repos.repos import Repos

__all__ = ["Repos"]
