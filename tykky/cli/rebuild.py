"""Build an install again from what it was built from, and compare: a proof, and nothing is changed.

The recipe, what lies beside it and the lock are those that the generation has kept, so the
repository need not be there. What else it was built from has to be: the base, what it needs,
downloads, and files of the host that it has read.
"""

EXAMPLES = ""
