"""A working folder for a new programme."""

STAGES = ("baseline", "midterm", "final", "expost")
