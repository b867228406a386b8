"""Tables and texts as HTML pages, which Snakemake's report shows; other files it can only download."""

from typing import TYPE_CHECKING

from fofg.report.markdown import markdown

if TYPE_CHECKING:  # pandas takes long to load
    import pandas as pd

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --back: #fff; --text: #1a1a1a; --line: #d3d3d3; --head: #f0f0f0; }}
@media (prefers-color-scheme: dark) {{ :root {{ --back: #16181c; --text: #e6e6e6; --line: #3d424a; --head: #23272e; }} }}
body {{ margin: 0 auto; padding: 1rem; max-width: 90rem; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }}
h1 {{ font-size: 1.4rem; }} h2 {{ font-size: 1.15rem; margin-top: 2rem; }} p {{ max-width: 50rem; }}
code {{ font-family: ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }}
.table {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }}
th, td {{ border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: left; white-space: nowrap; }}
th {{ background: var(--head); }}
</style>
</head>
<body>
{body}</body>
</html>
"""


def text_page(title: str, text: str) -> str:
    """Return a page of a text in Markdown; HTML in the text is shown, not used."""
    from markdown_it import MarkdownIt
    from markdown_it.common.utils import escapeHtml

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    body = body.replace("<table>", '<div class="table"><table>').replace("</table>", "</table></div>")
    return _PAGE.format(title=escapeHtml(title), body=body)


def table_page(title: str, table: "pd.DataFrame") -> str:
    """Return a page of a table."""
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    return text_page(title, f"# {title}\n\n{markdown([_cell(name) for name in table.columns], rows)}")


def _cell(value) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return "".join(f"\\{character}" if character in "\\`*_[]<>&|~" else character for character in " ".join(text.split()))
