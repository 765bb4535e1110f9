"""What the scripts of decoder fixtures ask of a reference model."""
import math

import torch


def logits_of(model, ids):
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


def greedy(model, prompt, count):
    """Argmax continuation without a cache, EOS not obeyed; and the smallest gap of the two best logits."""
    ids, gap = list(prompt), math.inf
    for _ in range(count):
        best = logits_of(model, ids)[-1].topk(2)
        gap = min(gap, float(best.values[0] - best.values[1]))
        ids.append(int(best.indices[0]))
    return ids[len(prompt):], gap
