"""The pipeline: from a spec to a committed install."""
