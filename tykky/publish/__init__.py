"""What users see of an install: commands and modulefiles."""
