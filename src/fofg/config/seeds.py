"""Repeat the experiment with other seeds: which of the configuration's seeds differ from one repetition to the next."""

from fofg.config.root import Config

#: Seeds of rollouts for training, of selection and of training. Problems, their order, and evaluation are the same for all
#: repetitions, so that these can be compared problem by problem.
SHIFTED = (
    "stage0.sft.seed",
    "stage1.rollouts.seed",
    "stage1.rft.seed",
    "stage1.sft.seed",
    "stage2.rft.rollouts.seed",
    "stage2.rft.selection.seed",
    "stage2.rft.sft.seed",
    "stage2.rl.rollouts.seed",
    "stage2.rl.seed",
    "countdown.rollouts.seed",
    "countdown.rft.seed",
    "countdown.mixture.seed",
)
#: Difference between the seeds of neighboring repetitions, so that seeds of different stages don't meet.
STEP = 1000


def with_seed(settings: Config, seed: int) -> Config:
    """Return the settings of a repetition: ``STEP * seed`` is added to every key of ``SHIFTED``, nothing for seed 0."""
    for key in SHIFTED if seed else ():
        settings = _shifted(settings, key.split("."), STEP * seed)
    return settings


def _shifted(section, path: list[str], shift: int):
    """Return a section with ``shift`` added to the key at ``path``."""
    name, *rest = path
    value = getattr(section, name)
    return section.model_copy(update={name: _shifted(value, rest, shift) if rest else value + shift})
