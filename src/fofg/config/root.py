"""The whole configuration, and checks across its sections."""

import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator, model_validator

from fofg import names
from fofg.config.base_model import BaseModel
from fofg.config.compute import Cluster, Figures, RolloutEngine, TinyBase, Training, Use
from fofg.config.countdown import Countdown
from fofg.config.engines import unfit
from fofg.config.estimate import Plan
from fofg.config.stage1 import COUNTDOWN, STRINGS, Dataset, Problems, Scoring, Stage0, Stage1
from fofg.config.stage2 import Evaluation, Failures, Passk, Samples, Stage2
from fofg.config.sweep import Grid
from fofg.config.types import CHECKOUT, Name, Natural, Section, null_removes
from fofg.config.values import RunDir, is_file, user_path

#: The models that the project brings along; the default configuration names the first.
EMBEDDED = ("resources/tiny-base", "resources/tiny-base-countdown")
#: The highest level that the balanced sampler finds problems for when steps are capped at 64 characters or fewer.
HIGHEST_LEVEL = 9
#: The same for compositions of the training functions in tests: more of these lengthen their input.
HIGHEST_TRAINING_LEVEL = 6


def _distinct(seeds: list[int]) -> list[int]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("a seed occurs twice; name each once")
    return seeds


class Config(Section):
    """The whole configuration."""

    run_dir: RunDir = Field(description="folder under which data, checkpoints, results and logs are made")
    seeds: Annotated[list[Natural], Field(min_length=1), AfterValidator(_distinct)] = Field(
        description="each repeats the rollouts and training of Stages 0 to 2; 0: with the seeds as given"
    )
    sweep: Grid
    base_model: BaseModel = Field(description="folder in Hugging Face format, name on the hub, or a GGUF file to convert")
    container: str | None = Field(
        description="image in which the rules' commands run, with --sdm apptainer; a file, or docker://..."
    )
    plain_prompt: bool = Field(description="use the model's chat template without its system text, as the paper does")
    problems: Problems
    datasets: Annotated[dict[Name, Dataset], null_removes(dict[Name, Dataset | None])] = Field(
        description="name -> problems; null removes one"
    )
    scoring: Scoring
    stage0: Stage0
    stage1: Stage1
    stage2: Stage2
    evaluation: Evaluation
    passk: Passk
    failures: Failures
    samples: Samples
    countdown: Countdown
    rollout_engine: RolloutEngine
    training: Training
    cluster: Cluster
    figures: Figures
    use: Use
    tiny_base: TinyBase
    plan: Plan

    @field_validator("base_model")
    @classmethod
    def _find_embedded(cls, model: BaseModel) -> BaseModel:
        # Paths are relative to the working directory, but the default has to work in any.
        return str(CHECKOUT / model) if model in EMBEDDED and not Path(model).is_dir() else model

    @field_validator("container")
    @classmethod
    def _is_an_image(cls, image: str | None) -> str | None:
        if image and (odd := re.search(r"[\s{}]", image)):
            raise ValueError(f"{image} has {odd[0]!r} in it, which Snakemake does not pass on; move or rename it")
        if not image or "://" in image:
            return image
        image = user_path(image)
        if not Path(image).exists():
            raise ValueError(f"no file {image}; docs/containers.md says how to build it")
        return image

    @model_validator(mode="after")
    def _fits_together(self) -> "Config":
        problems = [*self._missing_datasets(), *self._missing_models(), *self._missing_levels(), *self._unfit_pairs(), *unfit(self)]
        if "stage1_level1" in self.datasets and len(set(levels := list(self.datasets["stage1_level1"].levels))) > 1:
            problems.append(
                f"datasets.stage1_level1.levels: one level only, since a rollout job samples its own rows, not {levels}"
            )
        if self.stage0.examples and self.use.stage1_checkpoint:
            problems.append("stage0.examples: nothing starts from the warm-up with use.stage1_checkpoint; set it to 0")
        rft = self.stage2.rft
        needed, rows = rft.num_iterations * rft.examples_per_iteration, self._rows(rft.dataset, "train")
        if rows and not self.use.stage2_rft_problems and needed > rows:
            problems.append(
                f"stage2.rft: {rft.num_iterations} iterations of {rft.examples_per_iteration} problems need {needed}, but "
                f"datasets.{rft.dataset}.train has {rows}; raise it, or lower num_iterations or examples_per_iteration"
            )
        if problems:
            raise ValueError("\n  ".join(problems))
        return self

    def _rows(self, dataset: str, split: str) -> int:
        return getattr(self.datasets[dataset], split) if dataset in self.datasets else 0

    def _missing_datasets(self) -> Iterator[str]:
        """Yield an error per key that names a dataset without problems."""
        needed = [("stage1", "stage1_level1", "train"), ("stage1", "stage1_level1", "test")]
        if not self.use.stage2_rft_problems:
            needed.append(("stage2.rft.dataset", self.stage2.rft.dataset, "train"))
        needed += [("evaluation.splits", dataset, "test") for dataset in self.evaluation.splits]
        for section in ("evaluation", "passk"):
            if not getattr(self.use, f"{section}_problems"):
                needed.append((f"{section}.dataset", getattr(self, section).dataset, "test"))
        if self.stage2.rl.validation.every and not self.use.validation_problems:
            needed.append(("stage2.rl.validation.dataset", self.stage2.rl.validation.dataset, "test"))
        for name, phases in self.stage2.rl.curricula.items():
            sources = {source for phase in phases for source in phase.mixture if not is_file(source)}
            needed += [(f"stage2.rl.curricula.{name}", source, "train") for source in sorted(sources)]
        if self.evaluation.dataset in self.evaluation.splits and not self.use.evaluation_problems:
            yield f"evaluation.splits: {self.evaluation.dataset} is evaluation.dataset, which all models answer; leave it out"
        for key, dataset, split in needed:
            if not self._rows(dataset, split):
                close = difflib.get_close_matches(dataset, self.datasets, n=1, cutoff=0.5)
                hint = f"; did you mean {close[0]}?" if close and close[0] != dataset else f"; set datasets.{dataset}.{split}"
                yield f"{key}: dataset {dataset} has no {split} problems{hint}"

    def _missing_levels(self) -> Iterator[str]:
        """Yield an error per key that needs levels, or more problems of a level, than its dataset has."""
        validation, name = self.stage2.rl.validation, self.stage2.rl.validation.dataset
        if validation.every and self._rows(name, "test") and not self.use.validation_problems:
            available, key = dict(self.datasets[name].shares(self.datasets[name].test)), "stage2.rl.validation"
            if not _span(validation.levels) <= available.keys():
                yield f"{key}.levels: {list(validation.levels)}, but dataset {name} has {', '.join(map(str, available))}"
            elif validation.problems > (fewest := min(available[level] for level in _span(validation.levels))):
                yield f"{key}.problems: {validation.problems} a level, but datasets.{name}.test gives {fewest}; raise that"
        limit = self.problems.max_output_length
        if self.problems.sampler == "balanced" and limit and limit <= 64:  # tried: each call changes its input, most lengthen it
            for name, dataset in self.datasets.items():
                highest = HIGHEST_LEVEL if dataset.functions == "test" else HIGHEST_TRAINING_LEVEL
                if dataset.levels[1] <= highest:
                    continue
                yield (
                    f"datasets.{name}.levels: sampler balanced finds no problems above level {highest} with "
                    f"problems.max_output_length: {limit}; raise that to 256, or lower the level"
                )
        if self.problems.task == COUNTDOWN:
            for name in [name for name, dataset in self.datasets.items() if dataset.levels[0] < 2]:
                yield f"datasets.{name}.levels: a Countdown problem has 2 integers or more; start at 2"
        evaluated = self.datasets.get(self.evaluation.dataset)
        if evaluated and not self.use.evaluation_problems and not _span(self.failures.levels) & _span(evaluated.levels):
            has = list(evaluated.levels)
            yield f"failures.levels: {list(self.failures.levels)}, but datasets.{self.evaluation.dataset}.levels is {has}"

    def _unfit_pairs(self) -> Iterator[str]:
        """Yield an error per dataset whose functions or pairs can't be chosen, and per training dataset with pairs of a test."""
        for name, dataset in self.datasets.items():
            key, chosen = f"datasets.{name}", (dataset.functions, dataset.pairs) != ("test", "all")
            if chosen and (dataset.stage, self.problems.task, self.problems.sampler) != (2, STRINGS, "balanced"):
                yield f"{key}: functions and pairs need stage: 2, problems.task: {STRINGS} and problems.sampler: balanced"
            elif dataset.pairs != "all" and dataset.test and dataset.functions == "test":
                yield f"{key}.pairs: no pair of held-out functions is in training; set functions: train, or test: 0"
            elif dataset.pairs == "new" and dataset.train:
                yield f"{key}.pairs: new pairs are those that no training problem has; set train: 0"
        pools = self.problems.pools
        if pools and len(pools.train) < 4 and any(dataset.pairs != "all" for dataset in self.datasets.values()):
            yield "problems.pools.train: pairs: seen and new need four functions or more; name more"
        if any(dataset.pairs == "new" and dataset.test for dataset in self.datasets.values()):
            sources = {source for phases in self.stage2.rl.curricula.values() for phase in phases for source in phase.mixture}
            used = sources | (set() if self.use.stage2_rft_problems else {self.stage2.rft.dataset})
            for name in sorted(used & self.datasets.keys()):
                if self.datasets[name].levels[1] > 1 and self.datasets[name].pairs != "seen":
                    yield f"datasets.{name}.pairs: it trains on pairs that a test calls new; set pairs: seen"

    def base_source(self) -> str:
        """Return the folder of the base model, or its name on the hub: as configured, or where a GGUF file is converted to."""
        if isinstance(self.base_model, str):
            return self.base_model
        return os.path.normpath(os.path.join(self.run_dir, names.CHECKPOINTS, names.CONVERTED))

    def base_name(self) -> str:
        """Return the name of the model that all trained ones descend from: on the hub, of its folder, or of its package or file."""
        model = self.use.stage1_checkpoint or self.base_model
        if isinstance(model, str):
            return Path(model).absolute().name if os.path.isdir(model) else model
        return model.package or Path(model.gguf).name

    def compares_with_paper(self) -> bool:
        """Return whether the evaluation's problems are of the paper's kind: of its task, and not the user's own."""
        return self.problems.task == STRINGS and not self.use.evaluation_problems

    def start_model(self) -> str:
        """Return the model that Stage 1 starts from: the base, or the one that the warm-up trains."""
        return names.STAGE0 if self.stage0.examples else names.BASE

    def models(self) -> list[str]:
        """Return every model in the order of the experiment: the base, Stages 0 and 1, RFT iterations, RL; then the user's own."""
        iterations = map(names.rft_model, range(self.stage2.rft.num_iterations))
        first = dict.fromkeys([names.BASE, self.start_model(), names.STAGE1])
        return [*first, *iterations, *map(names.rl_model, self.stage2.rl.curricula), *self.use.models]

    def seeds_of(self, model: str) -> list[int]:
        """Return the seeds that a model is trained with; 0 alone for the base and the user's own models, which all seeds share."""
        shared = {names.BASE, *self.use.models, *([names.STAGE1] if self.use.stage1_checkpoint else [])}
        return [0] if model in shared else self.seeds

    def missing_for_countdown(self) -> str | None:
        """Return an error if ``countdown`` names what an overlay has removed; it matters to the target countdown alone."""
        for key, entries, known in (
            ("curricula", self.countdown.curricula, list(self.stage2.rl.curricula)),
            ("models", self.countdown.models, self.models()),
        ):
            if missing := [entry for entry in entries if entry not in known]:
                return f"countdown.{key}: no {', '.join(missing)}; there are {', '.join(known)}"
        return None

    def _missing_models(self) -> Iterator[str]:
        if names.BASE in self.use.models or names.STAGE0 in self.use.models:
            yield f"use.models: {names.BASE} and {names.STAGE0} are models of the experiment; give your own another name"
        for model in self.passk.models:
            if model not in self.models():
                yield f"passk.models: no model {model}; there are {', '.join(self.models())}"


def _span(levels: tuple[int, int]) -> set[int]:
    return set(range(levels[0], levels[1] + 1))
