"""Names that both sides of verl's processes use."""

#: What a step's sampler records stands in verl's metrics behind this.
PREFIX = "fofg/"
