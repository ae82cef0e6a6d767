"""What users see of an install: modulefiles."""
