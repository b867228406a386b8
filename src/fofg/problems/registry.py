"""The data sets of string problems: their levels, functions and prompts (paper §3.1, §4; App. A)."""

from dataclasses import dataclass

from fofg.problems.functions import FUNCTIONS

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


@dataclass(frozen=True)
class Dataset:
    """``levels``: fewest and most. ``definitions``: prompts show them. ``stage``: 1 uses all functions, 2 the split."""

    levels: tuple[int, int]
    definitions: bool
    stage: int

    def pool(self, split: str, sampler: str) -> tuple[str, ...]:
        """Readable names of the functions that the problems of a split (train, test) are made of."""
        if self.stage == 1:
            return ALL
        if sampler == "paper":
            return PUBLISHED_TRAINING if split == "train" else PUBLISHED_HELD_OUT
        return TRAINING if split == "train" else HELD_OUT

    def shares(self, rows: int) -> list[tuple[int, int]]:
        """(level, problems) pairs: equal shares, the remainder to the lowest levels."""
        low, high = self.levels
        share, more = divmod(rows, high - low + 1)
        return [(level, share + (level - low < more)) for level in range(low, high + 1)]


DATASETS = {
    "stage1_level1": Dataset(levels=(1, 1), definitions=True, stage=1),
    "stage2_level1": Dataset(levels=(1, 1), definitions=False, stage=2),
    "stage2_level2": Dataset(levels=(2, 2), definitions=False, stage=2),
    "stage2_level1to2": Dataset(levels=(1, 2), definitions=False, stage=2),
    "stage2_level1to8": Dataset(levels=(1, 8), definitions=False, stage=2),
}
