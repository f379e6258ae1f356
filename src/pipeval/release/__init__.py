"""What leaves the house: the reproducibility package of a report, and its public-use file."""
