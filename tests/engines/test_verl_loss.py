"""The RL loss that verl computes with our settings, against the formulas of GRPO and DAPO."""

import math
from statistics import fmean

import pytest
import torch
from tensordict import TensorDict
from verl.utils import tensordict_utils
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.utils.losses import ppo_loss
from verl_configs import rl

pytestmark = pytest.mark.engines
PROMPTS, RESPONSES = (3, 2, 4), (5, 1, 3)
ADVANTAGES = (1.5, -0.5, -1.0)
#: Changes of the tokens' log-probabilities: within the clip range, above it (log 1.28 = 0.25) and below it (-0.22).
CHANGES = ((0.0, 0.2, 0.3, -0.3, 0.6), (-0.4,), (-0.1, -0.5, 0.5))


def nested(rows):
    return torch.nested.as_nested_tensor([torch.as_tensor(row) for row in rows], layout=torch.jagged)


ENTROPIES = ((1.0, 2.0, 0.5, 0.0, 3.0), (4.0,), (1.5, 0.5, 1.0))
#: Log-probabilities of the reference model minus those of the policy; 5 is beyond the bound of the estimate.
DIVERGENCES = ((0.0, 0.5, -0.5, 1.0, -2.0), (5.0,), (0.1, -0.1, 0.3))


@pytest.mark.parametrize("mode", ["token-mean", "seq-mean-token-mean"])
@pytest.mark.parametrize(("kl", "entropy"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.1), (0.5, 0.1)])
def test_the_rl_loss_is_the_clipped_objective_with_kl_penalty_and_entropy_bonus(tmp_path, tiny_model, mode, kl, entropy):
    keys = {"loss_agg_mode": mode, "on_incomplete_step": "error", "kl_coef": kl, "entropy_coef": entropy}
    config = rl(tmp_path, tiny_model, {"clip_low": 0.2, "clip_high": 0.28, **keys})
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    old = [torch.linspace(-2.0, -1.0, length) for length in RESPONSES]
    new = [row + torch.tensor(change) for row, change in zip(old, CHANGES)]
    # verl's engine gives the log-probability of the next token at each token of prompt and response.
    whole = [torch.cat([torch.full((before - 1,), 9.0), row, torch.tensor([9.0])]) for before, row in zip(PROMPTS, new)]
    fields = {
        "prompts": nested([[7] * length for length in PROMPTS]),
        "responses": nested([[7] * length for length in RESPONSES]),
        "response_mask": nested([[1] * length for length in RESPONSES]),
        "old_log_probs": nested(old),
        "advantages": nested([[value] * length for value, length in zip(ADVANTAGES, RESPONSES)]),
    }
    data = TensorDict(fields, batch_size=len(PROMPTS))
    if kl:
        fields["ref_log_prob"] = nested([row + torch.tensor(change) for row, change in zip(new, DIVERGENCES)])
        data = TensorDict(fields, batch_size=len(PROMPTS))
    tensordict_utils.assign_non_tensor(data, dp_size=1, batch_num_tokens=sum(RESPONSES), global_batch_size=len(PROMPTS))
    entropies = [[9.0] * (before - 1) + [*row, 9.0] for before, row in zip(PROMPTS, ENTROPIES)]
    loss, metrics = ppo_loss(actor, {"log_probs": nested(whole), "entropy": nested(entropies)}, data)
    terms, clipped = [], 0
    for before, after, advantage, spread, apart in zip(old, new, ADVANTAGES, ENTROPIES, DIVERGENCES):
        own = []
        for ratio, one, change in zip(map(math.exp, (after - before).tolist()), spread, apart):
            bounded = min(max(ratio, 0.8), 1.28)
            own.append((-min(ratio * advantage, bounded * advantage), one, min(math.exp(change) - change - 1, 10)))
            clipped += bounded * advantage < ratio * advantage
        terms.append(own)
    flat = [token for own in terms for token in own]
    assert (clipped, len(flat)) == (4, 9)
    rows = [flat] if mode == "token-mean" else terms
    policy, spread, apart = (fmean(fmean(token[term] for token in own) for own in rows) for term in range(3))
    assert float(loss) == pytest.approx(policy - entropy * spread + kl * apart, rel=1e-5)
    assert metrics["actor/pg_clipfrac"].aggregate() == pytest.approx(clipped / 9)
    assert metrics["actor/pg_loss"].aggregate() == pytest.approx(policy, rel=1e-5)  # what our records call loss
    assert ("kl_loss" in metrics) == (kl > 0)
    if kl:
        assert metrics["kl_loss"].aggregate() == pytest.approx(apart, rel=1e-5)
