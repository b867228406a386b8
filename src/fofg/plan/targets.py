"""Which stages a target needs: the workflow's targets and rules once more, without Snakemake.

Rules that only gather, select, score, tabulate or draw are left out: they take seconds to minutes of a CPU.
"""

import difflib
from collections.abc import Iterable
from typing import NamedTuple

from fofg.config import Config
from fofg.errors import UserError


class Stage(NamedTuple):
    """A rule, and what tells its jobs apart, shards aside: ``dataset/split``, a round, a model, a curriculum; a decoding."""

    rule: str
    of: str = ""
    decoding: str = ""


def decodings(settings: Config) -> list[str]:
    """How every model answers the evaluation's problems."""
    return ["sampled", "greedy"] if settings.evaluation.greedy else ["sampled"]


def iteration_models(settings: Config) -> list[str]:
    """Models of the RFT iterations, in order."""
    return [f"stage2-rft-iter{number}" for number in range(settings.stage2.rft.num_iterations)]


def covered(settings: Config, names: Iterable[str]) -> list[Stage]:
    """The stages of some targets and all that they need, each once, after those that it needs.

    Raises UserError for an unknown target.
    """
    known, found = targets(settings), {}
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise UserError(f"{name}: no such target; {hint}")
        for stage in known[name]:
            _visit(settings, stage, found)
    return list(found)


def _visit(settings: Config, stage: Stage, found: dict[Stage, None]) -> None:
    if stage not in found:
        for needed in _needs(settings, stage):
            _visit(settings, needed, found)
        found[stage] = None


def targets(settings: Config) -> dict[str, list[Stage]]:
    """Target -> the stages that it asks for."""
    train, data = _stage1_problems(settings), _stage1_data(settings)
    tests = [Stage("generate_stage1_test_rollouts", model) for model in ("base", "stage1-rft")]
    stage1 = [*train, *data, *_model(settings, "stage1-rft"), *tests]
    rft_models = iteration_models(settings)
    chain = [stage for model in rft_models for stage in _model(settings, model)]
    rft = [*chain, *_answers(settings, rft_models)]
    evaluation = _answers(settings, settings.models())
    passk = [Stage("generate_passk_rollouts", model) for model in settings.passk.models]
    everything = [*_all_problems(settings), *stage1, *rft, *evaluation, *passk]
    return {
        "all": everything,
        "stage1_create_problems": [*train, _problems("stage1_level1", "test")],
        "stage1_create_train_data": [*train, *data],
        "stage1_rft": stage1,
        "stage2_create_problems": _all_problems(settings),
        "stage2_rft_create_problems": _chunk_source(settings),
        "stage2_rft_create_train_data": [Stage("generate_rollouts", _round(model)) for model in rft_models],
        "stage2_rft_train": rft,
        **{f"stage2_rl_{name}": [Stage("train_rl", name)] for name in settings.stage2.rl.curricula},
        "evaluate": evaluation,
        "passk": passk,
        "analyze_failures": [stage for stage in evaluation if stage.decoding == "sampled"],
        "figures": [*_all_problems(settings), *stage1, *evaluation, *passk],
        "tiny_base": [Stage("build_tiny_base")],
    }


def _answers(settings: Config, models: list[str]) -> list[Stage]:
    return [Stage("generate_held_out_rollouts", model, decoding) for model in models for decoding in decodings(settings)]


def _problems(dataset: str, split: str) -> Stage:
    return Stage("create_problems", f"{dataset}/{split}")


def _stage1_problems(settings: Config) -> list[Stage]:
    return [] if settings.use.stage1_problems else [_problems("stage1_level1", "train")]


def _stage1_data(settings: Config) -> list[Stage]:
    return [] if settings.use.stage1_rft_data else [Stage("generate_rollouts", "stage1_level1")]


def _chunk_source(settings: Config) -> list[Stage]:
    return [] if settings.use.stage2_rft_problems else [_problems(settings.stage2.rft.dataset, "train")]


def _all_problems(settings: Config) -> list[Stage]:
    """Those of every data set, since the exposure of all is drawn."""
    made = [_problems(name, split) for name, one in settings.datasets.items() for split in ("train", "test") if getattr(one, split)]
    return [stage for stage in made if stage.of != "stage1_level1/train" or not settings.use.stage1_problems]


def _round(model: str) -> str:
    """The roll-outs that a model is fine-tuned on."""
    return "stage1_level1" if model == "stage1-rft" else f"stage2_rft_level2/{model.removeprefix('stage2-rft-')}"


def _model(settings: Config, name: str) -> list[Stage]:
    """The stage that makes a model; none for the user's own."""
    if name == "base":
        return [Stage("prepare_base_model")]
    if name == "stage1-rft" and settings.use.stage1_checkpoint:
        return []
    if name.startswith("stage2-rl-"):
        return [Stage("train_rl", name.removeprefix("stage2-rl-"))]
    return [Stage("train_sft", name)]


def _model_before(settings: Config, model: str) -> list[Stage]:
    """The stage that makes the model that is rolled out and fine-tuned to give this one."""
    if model == "stage1-rft":
        return _model(settings, "base")
    chain = ["stage1-rft", *iteration_models(settings)]
    return _model(settings, chain[chain.index(model) - 1])


def _needs(settings: Config, stage: Stage) -> list[Stage]:
    """The stages whose files a stage reads."""
    of = stage.of
    match stage.rule:
        case "generate_rollouts" if of == "stage1_level1":
            return [*_stage1_problems(settings), *_model(settings, "base")]
        case "generate_rollouts":
            return [*_chunk_source(settings), *_model_before(settings, f"stage2-rft-{of.rpartition('/')[2]}")]
        case "train_sft":
            own = of == "stage1-rft" and settings.use.stage1_rft_data
            return [*([] if own else [Stage("generate_rollouts", _round(of))]), *_model_before(settings, of)]
        case "train_rl":
            return [*_curriculum_problems(settings, of), *_model(settings, "stage1-rft")]
        case "generate_stage1_test_rollouts":
            return [_problems("stage1_level1", "test"), *_model(settings, of)]
        case "generate_held_out_rollouts":
            return [_problems(settings.evaluation.dataset, "test"), *_model(settings, of)]
        case "generate_passk_rollouts":
            return [_problems(settings.passk.dataset, "test"), *_model(settings, of)]
    return []


def _curriculum_problems(settings: Config, curriculum: str) -> list[Stage]:
    rl = settings.stage2.rl
    names = {name: None for phase in rl.curricula[curriculum] for name in phase.mixture if not name.endswith(".parquet")}
    validation = [_problems(rl.validation.dataset, "test")] if rl.validation.every else []
    return [*(_problems(name, "train") for name in names), *validation]
