"""Stacks between machines: artifacts in registries and in files, and what is fetched beforehand."""
