"""What users see of an install: commands, links and modulefiles."""

from tykky.publish.publisher import Publisher

__all__ = ["Publisher"]
