"""Labels of models, and the order of RFT iterations and of functions."""

import re
from collections.abc import Iterable

from fofg.names import BASE, MULTI, MULTI_RL, RFT, RL, STAGE0, STAGE1, rl_model

_KNOWN = {BASE: "base", STAGE0: "Stage 0", STAGE1: "Stage 1", "stage2-rft": "RFT"}


def label(model: str) -> str:
    """Return a model's label: "RFT, iteration 1", "RL on Levels 1+2", "RL, NAME" for a curriculum of another name."""
    number = iteration(model)
    if number >= 0:
        return f"RFT, iteration {number + 1}"
    if not model.startswith(RL):
        return _KNOWN.get(model, model)
    curriculum = model.removeprefix(RL)
    match = re.fullmatch(r"level(\d+)(?:to(\d+))?", curriculum)
    if not match:
        return f"RL, {curriculum}"
    low, high = int(match[1]), int(match[2] or match[1])
    return f"RL on Level {low}" if low == high else f"RL on Levels {low}{'+' if high == low + 1 else '–'}{high}"


def transfer_label(model: str) -> str:
    """Return a model's label among those of one and of two tasks: "multi-base + RL on Level 1", "string-base"."""
    if model == MULTI:
        return MULTI
    if model.startswith(MULTI_RL):
        return f"{MULTI} + {label(rl_model(model.removeprefix(MULTI_RL)))}"
    if model == STAGE1:
        return "string-base"
    return f"string-base + {label(model)}" if model.startswith(RL) or iteration(model) >= 0 else label(model)


def iteration(model: str) -> int:
    """Return the number of a model's RFT iteration, from 0; -1 for other models."""
    number = model.removeprefix(RFT)
    return int(number) if number != model and number.isdecimal() else -1


def iterations(models: Iterable[str]) -> list[str]:
    """Return the models of RFT's iterations, first to last."""
    return sorted((model for model in models if iteration(model) >= 0), key=iteration)


def iterations_of(count: int) -> list[str]:
    """Return the names of the first iterations of RFT."""
    return [f"{RFT}{number}" for number in range(count)]


def compared(models: Iterable[str]) -> dict[str, str]:
    """Return model -> label for a comparison, where RFT's last iteration stands for all, as "RFT, 3 iterations"."""
    models = list(dict.fromkeys(models))
    rft = iterations(models)
    shown = {model: label(model) for model in models if model not in rft[:-1]}
    if rft:
        count = iteration(rft[-1]) + 1
        shown[rft[-1]] = f"RFT, {count} iteration{'s' if count > 1 else ''}"
    return shown


def by_number(exposure: dict[str, dict]) -> list[tuple[str, dict]]:
    """Sort skill -> counts by the number at the end of the name shown; other names come last."""

    def number(item: tuple[str, dict]) -> tuple[int, str]:
        name = item[1]["public_name"]
        digits = name[len(name.rstrip("0123456789")) :]
        return (int(digits), "") if digits else (10**9, name)

    return sorted(exposure.items(), key=number)
