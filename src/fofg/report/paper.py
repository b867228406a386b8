"""Published numbers to compare with: the paper's (arXiv 2509.25123) and an independent reproduction's.

Accuracies are percent on held-out functions, 256 problems per level. ``tests/reference/paper.json`` holds the same facts.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

PAPER, REPRODUCTION = "paper (8B)", "reproduction (j1mk1m, greedy)"
REPRODUCTION_NOTE = "The reproduction answers 256 problems per level greedily; its SFT ran 4 epochs, the paper's 2 in Stage 1."


class Published(NamedTuple):
    """Numbers of one model, by level or failure class.

    ``model``: ours that it compares with; "stage2-rft" is the last iteration of RFT. Numbers are (exact) if quoted, or printed to
    that precision; (approx.) if the text says "around" or they are read off prose.
    """

    model: str
    label: str
    section: str
    numbers: Mapping[Any, str]


class Gap(NamedTuple):
    """How far one model is ahead in pass@k at a level."""

    label: str
    section: str
    level: int
    k: int
    points: str


def shares(row: Published) -> dict[Any, float]:
    """Return those of a row's numbers that are points, as shares: "64%", "~15%", the middle of "27–28.1%"; no bounds."""
    points = {}
    for name, number in row.numbers.items():
        if match := re.match(r"~?([\d.]+)(?:–([\d.]+))?%", number):
            low, high = float(match[1]), float(match[2] or match[1])
            points[name] = (low + high) / 200
    return points


def _exact(numbers: dict) -> dict:
    return {name: f"{number} (exact)" for name, number in numbers.items()}


def _approx(numbers: dict) -> dict:
    return {name: f"{number} (approx.)" for name, number in numbers.items()}


def _printed(*percent: str) -> dict[int, str]:
    return _exact({level: f"{value}%" for level, value in enumerate(percent, start=1)})


_LOWER = dict.fromkeys(range(5, 9), "lower")

ACCURACY = [
    Published("stage1-rft", "Stage 1", "§4.1", _exact({3: "5%", 4: "1%"})),
    Published("stage2-rft", "RFT on Level 2", "§4.2", _exact({2: "15%", 3: "≤ 2.6%"})),
    Published(
        "stage2-rl-level1",
        "RL on Level 1",
        "§4.1",
        _approx({1: "~90%", 2: "< 25%", **dict.fromkeys(range(3, 9), "~0%")}),
    ),
    Published(
        "stage2-rl-level2",
        "RL on Level 2",
        "§4.1",
        _exact({2: "64%", 3: "27–28.1%"}) | _approx({4: "~15%", **_LOWER}),
    ),
    Published("stage2-rl-level1to2", "RL on Levels 1+2", "§4.1", _approx({3: "~30%", 4: "~15%", **_LOWER})),
]
REPRODUCED = [
    Published("stage1-rft", "Stage 1", "", _printed("74.6", "12.5", "2.3", "0.8", "0.4", "0", "0", "0")),
    Published("stage2-rft", "on-policy SFT", "", _printed("69.1", "28.5", "6.6", "2.7", "1.2", "0", "0", "0")),
    Published(
        "stage2-rl-level2", "on-policy GRPO on Level 2", "", _printed("88.3", "73.0", "25.8", "11.7", "2.3", "1.2", "0.4", "0")
    ),
]

TRANSFER_SECTION = "§4.3, Table 1 and Fig. 4"
#: Accuracy on Countdown by number of integers, 32 samples of 128 problems each.
TRANSFER = [
    Published("multi-base", "multi-base", "§4.3", _approx({3: "~17%"})),
    Published("multi-base-rl-level1", "multi-base + RL on Level 1", "§4.3", _approx({3: "~20%"})),
    Published("multi-base-rl-level1to2", "multi-base + RL on Levels 1+2", "§4.3", _exact({3: "35%"}) | _approx({4: "~6%"})),
    Published("stage2-rl-level1to2", "string-base + RL on Levels 1+2", "§4.3", _approx({3: "fails"})),
]

#: The models of Fig. 5; the paper calls the first "RFT base".
PASSK_MODELS = ("stage1-rft", "stage2-rl-level1", "stage2-rl-level1to2")
PASSK = [
    Gap("lead of RL on Levels 1+2", "§4.4", 5, 1, "4 points (approx.)"),
    Gap("lead of RL on Levels 1+2", "§4.4", 5, 1024, "~25 points (approx.)"),
]

FAILURE_LEVEL = 3
#: The share of responses of the first three models of FAILURES that misread the structure of the composition.
MISREAD = "> 35%"
FAILURES = [
    Published("stage1-rft", "Stage 1", "§4.5", _exact({"ignores_composition": "> 50%"})),
    Published("stage2-rft", "RFT on Level 2", "§4.5", _exact({"ignores_composition": "> 50%"})),
    Published("stage2-rl-level1", "RL on Level 1", "§4.5", _exact({"ignores_composition": "> 50%"})),
    Published(
        "stage2-rl-level2",
        "RL on Level 2",
        "§4.5",
        _exact({"correct": "28.1%", "ignores_composition": "0%", "atomic_error": "55%"}),
    ),
]
