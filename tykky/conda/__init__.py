"""Conda environments: channels, solving, installing, activating, all without conda.

The work itself is rattler's (``py-rattler``), which is imported in one place only, ``engine``,
and runs in a process of its own.
"""
