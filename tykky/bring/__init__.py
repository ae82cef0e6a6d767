"""Bringing what people have: files of other tools, environments, images, as recipes.

Nothing of what is read is run.
"""
