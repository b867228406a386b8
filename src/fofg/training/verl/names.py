"""Names that both sides of verl's processes use."""

#: What a step's sampler records stands in verl's metrics behind this.
PREFIX = "fofg/"
#: Files in a run's folder: what verl wrote, with the time; what the sampler records of every step; the error that ends a run; the
#: wish that it saves and ends.
LINES, DRAWN, TOLD, STOP = "lines.jsonl", "drawn.jsonl", "told", "stop"
