"""Tables and texts as pages of Snakemake's report."""

from html.parser import HTMLParser

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from fofg.report.pages import table_page, text_page


class Cells(HTMLParser):
    def __init__(self, page: str):
        super().__init__()
        self.texts, self.tags = [], set()
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag in ("td", "th"):
            self.texts.append("")

    def handle_data(self, data):
        if self.texts:
            self.texts[-1] += data


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1))
def test_any_cell_is_shown_as_it_is(text):
    shown = Cells(table_page("Table", pd.DataFrame({"model": [text], "share": [0.12345]})))
    assert [cell.strip() for cell in shown.texts] == ["model", "share", text, "0.123"]


def test_html_in_a_text_is_shown():
    shown = Cells(text_page("Text", "# Text\n\n<script>alert(1)</script> | <img src=x>"))
    assert not shown.tags & {"script", "img"}
