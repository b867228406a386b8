"""Published numbers to stand beside one's own: the paper's (arXiv 2509.25123) and an independent reproduction's.

Accuracies are percent on held-out functions, 256 problems per level. ``tests/reference/paper.json`` holds the same facts.
"""

from dataclasses import dataclass

PAPER, REPRODUCTION = "paper (8B)", "reproduction (j1mk1m, greedy)"
REPRODUCTION_NOTE = "The reproduction answers 256 problems per level greedily; its SFT ran 4 epochs, the paper's 2 in Stage 1."


@dataclass(frozen=True)
class Number:
    """``exact``: quoted, or printed to that precision; otherwise the text says "around", or it is read off prose."""

    text: str
    exact: bool = False

    def __str__(self) -> str:
        return f"{self.text} ({'exact' if self.exact else 'approx.'})"


@dataclass(frozen=True)
class Published:
    """Numbers of one model by level. ``model`` is ours that it compares with; "stage2-rft": the last iteration of RFT."""

    model: str
    label: str
    section: str
    levels: dict[int, Number]


@dataclass(frozen=True)
class Failures:
    """Shares of some failure classes of one model; ``misread``: of responses that misread the structure of the composition."""

    model: str
    label: str
    section: str
    shares: dict[str, Number]
    misread: Number | None = None


@dataclass(frozen=True)
class Gap:
    """How far one model is ahead in pass@k at a level."""

    label: str
    section: str
    level: int
    k: int
    points: Number


def _from(first: int, text: str) -> dict[int, Number]:
    """The same words for all levels from ``first`` to 8."""
    return {level: Number(text) for level in range(first, 9)}


def _printed(*percent: str) -> dict[int, Number]:
    return {level: Number(f"{value}%", exact=True) for level, value in enumerate(percent, start=1)}


ACCURACY = [
    Published("stage1-rft", "Stage 1", "§4.1", {3: Number("5%", exact=True), 4: Number("1%", exact=True)}),
    Published("stage2-rft", "RFT on Level 2", "§4.2", {2: Number("15%", exact=True), 3: Number("≤ 2.6%", exact=True)}),
    Published("stage2-rl-level1", "RL on Level 1", "§4.1", {1: Number("~90%"), 2: Number("< 25%"), **_from(3, "~0%")}),
    Published(
        "stage2-rl-level2",
        "RL on Level 2",
        "§4.1",
        {2: Number("64%", exact=True), 3: Number("27–28.1%", exact=True), 4: Number("~15%"), **_from(5, "lower")},
    ),
    Published(
        "stage2-rl-level1to2",
        "RL on Levels 1+2",
        "§4.1",
        {3: Number("~30%"), 4: Number("~15%"), **_from(5, "lower")},
    ),
]
REPRODUCED = [
    Published("stage1-rft", "Stage 1", "", _printed("74.6", "12.5", "2.3", "0.8", "0.4", "0", "0", "0")),
    Published("stage2-rft", "on-policy SFT", "", _printed("69.1", "28.5", "6.6", "2.7", "1.2", "0", "0", "0")),
    Published(
        "stage2-rl-level2", "on-policy GRPO on Level 2", "", _printed("88.3", "73.0", "25.8", "11.7", "2.3", "1.2", "0.4", "0")
    ),
]
#: The models of Fig. 5; the paper calls the first "RFT base".
PASSK_MODELS = ("stage1-rft", "stage2-rl-level1", "stage2-rl-level1to2")
PASSK = [
    Gap("lead of RL on Levels 1+2", "§4.4", 5, 1, Number("4 points")),
    Gap("lead of RL on Levels 1+2", "§4.4", 5, 1024, Number("~25 points")),
]

FAILURE_LEVEL = 3
_IGNORES, _MISREADS = {"ignores_composition": Number("> 50%", exact=True)}, Number("> 35%", exact=True)
FAILURES = [
    Failures("stage1-rft", "Stage 1", "§4.5", _IGNORES, _MISREADS),
    Failures("stage2-rft", "RFT on Level 2", "§4.5", _IGNORES, _MISREADS),
    Failures("stage2-rl-level1", "RL on Level 1", "§4.5", _IGNORES, _MISREADS),
    Failures(
        "stage2-rl-level2",
        "RL on Level 2",
        "§4.5",
        {
            "correct": Number("28.1%", exact=True),
            "ignores_composition": Number("0%", exact=True),
            "atomic_error": Number("55%", exact=True),
        },
    ),
]
