"""The loss of reinforcement learning that our settings make verl compute, against DAPO's formula."""

import math

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
#: Of the log-probabilities of the responses' tokens: within the bounds, beyond the upper one (log 1.28 = 0.25), the lower (-0.22).
CHANGES = ((0.0, 0.2, 0.3, -0.3, 0.6), (-0.4,), (-0.1, -0.5, 0.5))


def nested(rows):
    return torch.nested.as_nested_tensor([torch.as_tensor(row) for row in rows], layout=torch.jagged)


def test_it_is_the_mean_over_all_tokens_of_the_clipped_objective(tmp_path, tiny_model):
    config = rl(tmp_path, tiny_model, {"clip_low": 0.2, "clip_high": 0.28})
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    old = [torch.linspace(-2.0, -1.0, length) for length in RESPONSES]
    new = [row + torch.tensor(change) for row, change in zip(old, CHANGES)]
    # verl's engine gives a log-probability for each token of prompt and response, of the token that follows.
    whole = [torch.cat([torch.full((before - 1,), 9.0), row, torch.tensor([9.0])]) for before, row in zip(PROMPTS, new)]
    fields = {
        "prompts": nested([[7] * length for length in PROMPTS]),
        "responses": nested([[7] * length for length in RESPONSES]),
        "response_mask": nested([[1] * length for length in RESPONSES]),
        "old_log_probs": nested(old),
        "advantages": nested([[value] * length for value, length in zip(ADVANTAGES, RESPONSES)]),
    }
    data = TensorDict(fields, batch_size=len(PROMPTS))
    tensordict_utils.assign_non_tensor(data, dp_size=1, batch_num_tokens=sum(RESPONSES), global_batch_size=len(PROMPTS))
    output = {"log_probs": nested(whole), "entropy": nested([[5.0] * len(row) for row in whole])}
    loss, said = ppo_loss(actor, output, data)
    losses, clipped = [], 0
    for before, after, advantage in zip(old, new, ADVANTAGES):
        for ratio in map(math.exp, (after - before).tolist()):
            bounded = min(max(ratio, 0.8), 1.28)
            losses.append(-min(ratio * advantage, bounded * advantage))
            clipped += bounded * advantage < ratio * advantage
    assert (clipped, len(losses)) == (4, 9)
    assert float(loss) == pytest.approx(sum(losses) / 9, rel=1e-5)  # no term for entropy, none for divergence
    assert said["actor/pg_clipfrac"].aggregate() == pytest.approx(clipped / 9)
    assert float(said["actor/pg_loss"].aggregate()) == pytest.approx(float(loss))
