"""Which stages a target needs: the workflow's targets once more, without Snakemake."""

import difflib
from collections.abc import Iterable

from fofg.config import Config
from fofg.errors import UserError
from fofg.plan import rules
from fofg.plan.rules import RULES, Stage


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
        for needed in RULES[stage.rule].reads(settings, stage):
            _visit(settings, needed, found)
        found[stage] = None


def targets(settings: Config) -> dict[str, list[Stage]]:
    """Target -> stages that it asks for, and that ask for the rest."""
    train = rules.stage1_problems(settings)
    selection = [] if settings.use.stage1_rft_data else [Stage("plot_selection")]
    tuning = [] if settings.use.stage1_checkpoint else [Stage("plot_training")]
    results = [*selection, *tuning, Stage("plot_accuracy")]
    data = [Stage("link_iteration_data")]
    rft_verdicts = [Stage("score_held_out", name) for name in rules.iteration_models(settings)]
    rft = [*data, Stage("link_iteration_model"), *rft_verdicts]
    exposure, comparison, passk, failures, curves = (
        [Stage(f"plot_{name}")] for name in ("exposure", "main_comparison", "passk", "failures", "learning_curves")
    )
    figures = [*exposure, *results, *comparison, *curves, *passk, *failures]
    return {
        "all": [*train, *results, *exposure, *rft, *figures, Stage("write_summary"), Stage("record_versions")],
        "stage1_create_problems": [*train, rules.problems("stage1_level1", "test")],
        "stage1_create_train_data": [*train, *selection],
        "stage1_rft": [*train, *results],
        "stage2_create_problems": exposure,
        "stage2_rft_create_problems": [Stage("create_chunk", str(n)) for n in range(settings.stage2.rft.num_iterations)],
        "stage2_rft_create_train_data": data,
        "stage2_rft_train": rft,
        **{f"stage2_rl_{name}": [Stage("train_rl", name)] for name in settings.stage2.rl.curricula},
        "evaluate": comparison,
        "passk": passk,
        "analyze_failures": failures,
        "figures": figures,
        "tiny_base": [Stage("build_tiny_base")],
    }
