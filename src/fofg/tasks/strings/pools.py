"""Which functions the problems of a stage are made of, and how many there are of each level (paper §3.1, §4; App. A)."""

from fofg.tasks.strings.functions import FUNCTIONS

_NAMES = tuple(FUNCTIONS)


def _pool(*numbers: int) -> tuple[str, ...]:
    return tuple(_NAMES[number] for number in numbers)


#: Readable names in order of their public number; all 25, as in Stage 1.
ALL = _NAMES
#: The published split of Stage 2: its train data, its test data. Three functions of each side equal one of the other.
PUBLISHED_TRAINING = _pool(1, 3, 4, 5, 9, 11, 13, 15, 17, 19, 20, 22, 23)
PUBLISHED_HELD_OUT = _pool(0, 2, 6, 7, 8, 10, 12, 14, 16, 18, 21, 24)
#: The split of the balanced sampler. Functions that agree stand on one side: 18 = 1, 8 = 19, 7 = 20, and 9 and 24, which
#: differ only on palindromes.
TRAINING = _pool(1, 3, 4, 5, 8, 11, 13, 15, 17, 18, 19, 22, 23)
HELD_OUT = _pool(0, 2, 6, 7, 9, 10, 12, 14, 16, 20, 21, 24)


def pool(stage: int, split: str, sampler: str) -> tuple[str, ...]:
    """Readable names of a split's functions: all in Stage 1; in Stage 2 the sampler's training or held-out ones."""
    if stage == 1:
        return ALL
    if sampler == "paper":
        return PUBLISHED_TRAINING if split == "train" else PUBLISHED_HELD_OUT
    return TRAINING if split == "train" else HELD_OUT
