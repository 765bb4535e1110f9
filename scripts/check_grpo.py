#!/usr/bin/env python3
"""Puts transformers and autograd beside a finished grpo run: cosines of samples and losses of groups.

    .venv-reference/bin/python scripts/check_grpo.py DIR [--steps 0,9,19] [--tolerance 1e-4]

From what the run left (pools, knobs, directions, LoRA's A, singular-value factors) the gradient of each sample's NLL is
computed anew, one sample at a time, in float32; and from it the cosines of grpo/samples and the loss of grpo/steps. The rules
are decided anew as in check_grpo_verdicts.py.
The frozen pass needs nothing else; the trained one needs probe.keep_adapters. Exit code 0 where everything agrees.
"""
import argparse
import glob
import gzip
import json
import pathlib
import sys

import reference_libraries

reference_libraries.require("h5py", "torch", "transformers")

import h5py  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from check_grpo_verdicts import check_decisions, rows, text  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402


class Basis:
    """Every module's W x + U (s Vh x), or W x + scale B A x, with s or B as leaves."""

    def __init__(self, model, kind, folder, results, probe):
        self.leaves, self.names, self.sizes = [], [], []
        factors = [load_file(path) for path in glob.glob(str(pathlib.Path(probe["factors"] or folder / "factors") / "svd-*.safetensors"))] if kind == "svd" else []
        a = results["grpo/lora_a"][:] if kind == "lora" else None
        place = 0
        for name, module in model.named_modules():
            if not isinstance(module, torch.nn.Linear) or not name.endswith("_proj"):
                continue
            out, inputs = module.weight.shape
            if kind == "svd":
                u, vh = self.factors_of(module.weight.detach(), factors)
                leaf = torch.zeros(u.shape[1], requires_grad=True)
                change = lambda x, u=u, vh=vh, leaf=leaf: ((x @ vh.T) * leaf) @ u.T
            else:
                down = torch.from_numpy(a[place][:, :inputs])
                leaf = torch.zeros(out, down.shape[0], requires_grad=True)
                scale = probe["lora_alpha"] / probe["lora_rank"]
                change = lambda x, down=down, leaf=leaf, scale=scale: scale * (x @ down.T) @ leaf.T
            module.register_forward_hook(lambda _, args, y, change=change: y + change(args[0]))
            self.leaves.append(leaf)
            self.names.append(name)
            self.sizes.append(leaf.numel())
            place += 1
        self.begins = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])

    @staticmethod
    def factors_of(weight, factors):
        """The stored factors that make this matrix diagonal."""
        rank = min(weight.shape)
        for stored in factors:
            u, vh = stored["u"].float(), stored["vh"].float()
            if u.shape != (weight.shape[0], rank) or vh.shape != (rank, weight.shape[1]):
                continue
            inner = u.T @ weight @ vh.T
            if (inner - torch.diag(inner.diagonal())).norm() < 0.05 * inner.norm():
                return u, vh
        raise SystemExit(f"check_grpo: no stored factors fit a matrix of shape {tuple(weight.shape)}")

    def assign(self, flat):
        with torch.no_grad():
            for leaf, begin, size in zip(self.leaves, self.begins, self.sizes):
                leaf.copy_(torch.from_numpy(flat[begin:begin + size]).reshape(leaf.shape))

    def gradient(self, model, prompt, completion):
        ids = torch.tensor([prompt + completion])
        logits = model(input_ids=ids).logits[0, :-1]
        chosen = torch.log_softmax(logits.float(), -1).gather(1, ids[0, 1:, None])[:, 0]
        loss = -chosen[len(prompt) - 1:].mean()
        found = torch.autograd.grad(loss, self.leaves)
        return loss.item(), np.concatenate([g.reshape(-1).double().numpy() for g in found])


class Directions:
    def __init__(self, results, kind):
        listed = rows(results, "grpo/directions")
        vectors = results["grpo/direction_vectors"]
        self.modules = {}
        for number, row in enumerate(listed):
            if row["basis"] != kind or row["contrast"] != "hack":
                continue
            begin, size = row["first_knob"], row["size"]
            self.modules.setdefault((row["module"], begin, size), []).append(vectors[number][:size])
        d, at = results["grpo/pair_gradients"], 0
        for row in rows(results, "grpo/extraction"):
            if row["basis"] == kind and row["contrast"] == "hack":
                self.mean = np.asarray(d[at:at + row["pairs"]], dtype=np.float64).mean(0)
            at += row["pairs"]

    def align(self, g):
        inward, signed = [], []
        for (_, begin, size), v in self.modules.items():
            part, d = g[begin:begin + size], self.mean[begin:begin + size]
            length = np.linalg.norm(part)
            if length == 0:
                continue
            inward.append(np.linalg.norm(np.maximum(np.asarray(v) @ part, 0)) / length)
            signed.append(part @ d / (length * np.linalg.norm(d)))
        return np.mean(inward), np.mean(signed)


def stored_pools(folder, config):
    places = config["grpo"]["pools"].get("replay") or sorted(str(p) for p in (folder / "pools").iterdir())
    out = {}
    for place in [*places, *(str(p) for p in (folder / "pools").iterdir())]:
        for path in sorted(pathlib.Path(place).glob("step_*.jsonl.gz")):
            for line in gzip.open(path, "rt"):
                record = json.loads(line)
                out[(record["src_pool"], record["step"], record["sample_id"])] = record
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--steps", default="0,9,19")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = h5py.File(options.dir / "results.h5")
    config = json.loads(text(results["config"].attrs["json"]))
    pools, steps, samples = stored_pools(options.dir, config), rows(results, "grpo/steps"), rows(results, "grpo/samples")
    trained = [row for row in steps if row["pass"] == "trained"]
    wanted = {int(step) for step in options.steps.split(",")}
    worst = {}
    for kind in ("svd", "lora"):
        arms = {row["arm"] for row in steps if row["arm"].endswith("_lora") == (kind == "lora")}
        if not arms:
            continue
        model = AutoModelForCausalLM.from_pretrained(config["grpo"]["model"]["dir"], dtype=torch.float32).eval()
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        basis = Basis(model, kind, options.dir, results, config["grpo"]["probe"])
        directions = Directions(results, kind)
        for step in steps:
            if step["arm"] not in arms or step["step"] not in wanted:
                continue
            if step["pass"] == "trained":
                if "grpo/adapters" not in results:
                    continue
                knobs = results["grpo/adapters"][trained.index(step)]
                basis.assign(knobs[:sum(basis.sizes)])
            else:
                basis.assign(np.zeros(sum(basis.sizes), dtype=np.float32))
            group = [s for s in samples if all(s[key] == step[key] for key in ("arm", "pass", "step"))]
            rewards = np.array([s["reward"] for s in group])
            loss, gradient = 0.0, 0
            for s, advantage in zip(group, rewards - rewards.mean()):
                record = pools[(s["src_pool"], s["src_step"], s["src_sample"])]
                nll, g = basis.gradient(model, record["prompt_ids"], record["completion_ids"])
                weight = advantage / len(group)
                loss, gradient = loss + weight * nll, gradient + weight * g
                pairs = [("cos_nll", directions.align(g)[1])]
                if weight != 0:
                    inward, signed = directions.align(weight * g)
                    pairs += [("cos_S_contrib", inward), ("cos_sgn", signed),
                              ("grad_norm_contrib", np.linalg.norm(weight * g))]
                for name, value in pairs:
                    key = (step["arm"], step["pass"], name)
                    worst[key] = max(worst.get(key, 0), abs(value - s[name]))
            inward, signed = directions.align(gradient)
            for name, value in (("loss", loss), ("cos_in", inward), ("cos_sgn of the group", signed)):
                key = (step["arm"], step["pass"], name)
                worst[key] = max(worst.get(key, 0), abs(value - step[name.split(" ")[0]]))
    for (arm, name, measure), value in worst.items():
        print(f"{'ok  ' if value <= options.tolerance else 'FAIL'} {arm:18s} {name:8s} {measure:22s} largest difference {value:.2e}")
    wrong = check_decisions(results)
    return 0 if worst and max(worst.values()) <= options.tolerance and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
