"""Numbers and tables in plain text."""


def short(value: float) -> str:
    """Format a number with three digits and a prefix: 250M."""
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= factor:
            factor = min(factor, 1e3) if prefix == "k" else factor
            return f"{value / factor:.3g}{prefix}" if value < 999.5 * factor else f"{value / factor:,.0f}{prefix}"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2g}" if value < 10 else f"{value:.3g}"


def aligned(rows: list[list[str]]) -> list[str]:
    """Return lines with aligned columns: the first to the left, all others to the right."""
    rows = [row + [""] * (len(rows[0]) - len(row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
