"""What a tokenized conversation teaches."""

import numpy as np

from fofg.training.conversations import IGNORED


def learned_spans(tokenizer, encoded, row=0):
    """Return the first token's position, and the text, of each contiguous span of learned tokens."""
    ids, labels = encoded.input_ids[row], encoded.labels[row]
    assert ((labels == IGNORED) | (labels == ids)).all()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], labels != IGNORED, [False]]).astype(int)))
    return [(start, tokenizer.decode(ids[start:end])) for start, end in zip(edges[::2], edges[1::2])]
