"""Accuracy on the second task in Markdown, with the paper's numbers (Table 1, Fig. 4)."""

from collections.abc import Sequence

import pandas as pd

from fofg.report import paper
from fofg.report.labels import transfer_label
from fofg.report.summary import accuracy_table

_HEAD = f"""# Transfer to Countdown

Share of correct responses by number of integers ("level"); 95% Wilson interval over problems. Reinforcement learning was on string
problems alone; "multi-base" learned both tasks in Stage 1, "string-base" strings alone. The paper's numbers ({paper.PAPER},
{paper.TRANSFER_SECTION}) are those of Llama-3.1-8B-Instruct: compare which model does better than which, not the heights.
"""


def table(models: Sequence[str], rows: pd.DataFrame) -> str:
    """Return a row per model (``rows``: schemas.ACCURACY), followed by the published ones to compare it with."""
    return f"{_HEAD}\n{accuracy_table(models, rows, 'sampled', paper.PAPER, paper.TRANSFER, transfer_label)}"
