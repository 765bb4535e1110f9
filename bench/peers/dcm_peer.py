"""The plan's own loop (one pair, two forwards and one backward a step, torch's Adam) with PyTorch and
transformers, on the same weights, threads and lengths as dcm_cpu_bench. Prints one JSON line.

Usage: dcm_peer.py MODEL_FOLDER THREADS
"""
import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM

SLOTS, QUESTION, ANSWER = 8, 18, 9


def targets(tokens, salt, vocabulary):
    return torch.tensor([[(i * 7919 + salt) % vocabulary for i in range(tokens)]])


def main(folder, threads):
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.requires_grad_(False)
    table = model.get_input_embeddings()
    modes = table.weight[:2].detach()
    sides = [
        (modes[i : i + 1][None], targets(n, salt, model.config.vocab_size))
        for i, (n, salt) in enumerate([(QUESTION, 1), (ANSWER, 5)])
    ]
    content = torch.nn.Parameter(0.02 * torch.randn(1, SLOTS, model.config.hidden_size))
    adam = torch.optim.Adam([content], lr=0.01)

    def step():
        adam.zero_grad()
        loss = 0
        for mode, ids in sides:
            inputs = torch.cat([mode, content, table(ids)], dim=1)
            labels = torch.full((1, inputs.shape[1]), -100)
            labels[:, SLOTS + 1 :] = ids
            loss = loss + model(inputs_embeds=inputs, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_([content], 1.0)
        adam.step()

    for _ in range(3):
        step()
    times = []
    begin = time.monotonic()
    while len(times) < 20 or time.monotonic() - begin < 3:
        start = time.monotonic()
        step()
        times.append(time.monotonic() - start)
    times.sort()
    print(json.dumps({"peer": "transformers, one pair at a time", "threads": threads,
                      "pair_steps_per_second": round(1 / times[len(times) // 2], 1)}))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], int(sys.argv[2]))
