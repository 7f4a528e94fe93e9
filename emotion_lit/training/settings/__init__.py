"""The settings of a run: parsing, checks, defaults, and the objects that they describe."""
