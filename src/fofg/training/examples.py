"""Load files of examples for supervised fine-tuning."""

import sys
from pathlib import Path

from tqdm import tqdm

from fofg.config import SFTConfig
from fofg.data.files import count_rows
from fofg.data.reading import example_rows
from fofg.errors import UserError
from fofg.training import batches
from fofg.training.conversations import Encoded, conversation, encode


def encode_file(tokenizer, path: str | Path, config: SFTConfig) -> Encoded:
    """Tokenize the conversations of a file, and report those that are too long. Raises UserError for unusable rows."""
    rows = tqdm(example_rows(path), total=count_rows(path), desc="tokenize", unit="row", leave=False)
    examples = encode(tokenizer, map(conversation, rows), config.max_length, config.too_long, str(path))
    print(
        f"{path}: {len(examples)} examples, {sum(map(len, examples.input_ids))} tokens; above {config.max_length} tokens: "
        f"{examples.skipped} skipped, {examples.truncated} truncated",
        file=sys.stderr,
    )
    return examples


def fills_batch(examples: Encoded, config: SFTConfig, path: str | Path, allow_empty: bool) -> bool:
    """Return whether an epoch has a batch. If not, say why on standard error, or raise UserError unless ``allow_empty``."""
    if batches.sizes(len(examples), config.batch_size, config.last_batch):
        return True
    if len(examples):
        reason = f"{len(examples)} examples to train on, fewer than sft.batch_size ({config.batch_size})"
        cure = "lower it" if config.engine == "verl" else "lower it, set sft.last_batch: merge"
    else:
        reason, cure = "no example to train on", "raise sft.max_length"
    if not allow_empty:
        raise UserError(f"{path}: {reason}; {cure}, or make more training data")
    print(f"{path}: {reason}", file=sys.stderr)
    return False


def check_length(longest: int, positions: int | None) -> None:
    """Raise UserError if the longest example has more tokens than the model holds (None: it has no limit)."""
    if positions is not None and longest > positions:
        raise UserError(
            f"sft.max_length: the longest example has {longest} tokens, but the model holds {positions}; lower max_length "
            "and set too_long to skip or truncate"
        )
