"""Pre-train the embedded base model: a small Llama, Muon for its matrices, AdamW for the rest."""

import json
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM

from fofg.config import TinyBase
from fofg.data.files import replacing, write_text
from fofg.tiny_base.batches import IGNORED, LATE_FROM, Batches

LONGEST = 2048
_WARM_UP = 0.02
_LOG_EVERY = 20


def new_model(settings: TinyBase, vocabulary: int, end: int, pad: int) -> LlamaForCausalLM:
    """Create a model with float32 weights drawn from the seed; ``end`` and ``pad`` are token numbers."""
    torch.manual_seed(settings.seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.intermediate_size,
        max_position_embeddings=LONGEST,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
        attn_implementation="sdpa",  # type: ignore[call-arg]  # every configuration takes it
    )
    return LlamaForCausalLM(config)


class Run:
    """One pre-training run with its state in ``folder``: checkpoint.pt and metrics.jsonl."""

    def __init__(
        self,
        model: LlamaForCausalLM,
        batches: Batches,
        settings: TinyBase,
        identity: str,
        folder: Path,
        workers: int,
        save_every: int,
    ):
        """Set up a run. ``identity``: only its checkpoints are resumed; ``workers``: processes that prepare batches, 0: none."""
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = model.to(self.device).train()  # type: ignore[arg-type]  # transformers' wrapper of `to` forgets `self`
        self.batches, self.settings, self.identity, self.folder = batches, settings, identity, folder
        self.workers, self.save_every = workers, save_every
        matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and ".layers." in name]
        chosen = set(map(id, matrices))
        others = [p for p in model.parameters() if id(p) not in chosen]
        self.optimizers = [
            torch.optim.Muon(matrices, lr=settings.matrix_learning_rate, weight_decay=0.01),
            torch.optim.AdamW(others, lr=settings.learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
        ]
        self.rates = [settings.matrix_learning_rate, settings.learning_rate]
        self.step = 0

    def train(self) -> None:
        """Train to the last step, resuming from the checkpoint if there is one."""
        self._resume()
        loss_of = torch.compile(_loss) if self.device == "cuda" else _loss
        if self.device == "cpu":
            print("no GPU: the whole pre-training takes a day or two on a laptop's CPU", file=sys.stderr)
        remaining = range(self.step, self.settings.steps)
        loader: torch.utils.data.DataLoader = torch.utils.data.DataLoader(
            self.batches,  # type: ignore[arg-type]  # a sequence will do
            batch_size=None,
            sampler=remaining,
            num_workers=self.workers,
            prefetch_factor=4 if self.workers else None,
            pin_memory=self.device == "cuda",
        )
        with open(self.folder / "metrics.jsonl", "a", encoding="utf-8") as metrics:
            for batch in tqdm(loader, total=self.settings.steps, initial=self.step, unit="step", desc="pre-training"):
                loss = self._update(loss_of, batch)
                self.step += 1
                if self.step % _LOG_EVERY == 0 or self.step == self.settings.steps:
                    line = {"step": self.step, "loss": loss.item(), "tokens": self.step * batch.tokens.numel()}
                    metrics.write(json.dumps({**line, "learning_rate": self.rates[1] * self._scale()}) + "\n")
                    metrics.flush()
                if self.step % self.save_every == 0 or self.step == self.settings.steps:
                    self._save()

    def _update(self, loss_of: Callable[..., torch.Tensor], batch: Iterable[torch.Tensor]) -> torch.Tensor:
        scale = self._scale()
        for optimizer, rate in zip(self.optimizers, self.rates):
            optimizer.param_groups[0]["lr"] = rate * scale
        arrays = [array.to(self.device, non_blocking=True).long() for array in batch]
        with torch.autocast("cuda", torch.bfloat16) if self.device == "cuda" else nullcontext():
            loss = loss_of(self.model, *arrays)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def _scale(self) -> float:
        """Return the learning rate as a share of its peak: warm-up, constant, and linear decay to 0 in the last phase."""
        done = self.step / self.settings.steps
        return min((done + 1 / self.settings.steps) / _WARM_UP, 1.0, (1 - done) / (1 - LATE_FROM))

    def _save(self) -> None:
        with replacing(self.folder / "checkpoint.pt") as temporary:
            torch.save(
                {
                    "identity": self.identity,
                    "step": self.step,
                    "model": self.model.state_dict(),
                    "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                },
                temporary,
            )

    def _resume(self) -> None:
        path, metrics = self.folder / "checkpoint.pt", self.folder / "metrics.jsonl"
        self.folder.mkdir(parents=True, exist_ok=True)
        logged = []
        if path.exists():
            saved = torch.load(path, map_location=self.device, weights_only=True)
            if saved["identity"] == self.identity:
                self.step = saved["step"]
                print(f"resuming after step {self.step} of {self.settings.steps}", file=sys.stderr)
                self.model.load_state_dict(saved["model"])
                for optimizer, state in zip(self.optimizers, saved["optimizers"]):
                    optimizer.load_state_dict(state)
                lines = metrics.read_text(encoding="utf-8").splitlines(keepends=True) if metrics.exists() else []
                # Steps after the checkpoint run again, so their lines go; a kill may also have cut off the last line.
                logged = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= self.step]
        write_text(metrics, "".join(logged))


def _loss(model: LlamaForCausalLM, tokens, labels, positions, documents) -> torch.Tensor:
    """Return the mean cross-entropy over the answers; documents in the same row do not attend to each other."""
    indexes = torch.arange(tokens.shape[1], device=tokens.device)
    mask = (documents[:, None, :, None] == documents[:, None, None, :]) & (indexes[:, None] >= indexes)
    logits = model(input_ids=tokens, attention_mask=mask, position_ids=positions, use_cache=False).logits
    return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
