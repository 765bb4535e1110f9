#!/usr/bin/env python3
"""Put other libraries beside the results of a lipo run, and print one table.

    .venv-reference/bin/python scripts/check_lipo.py RUN/results.h5 [--others 10]

GPyTorch computes the marginal likelihood of every stored fit and the posterior at what was proposed, BoTorch the log expected
improvement there; PyTorch the latents; transformers (and PEFT) the answers to the instructions of the winner, of Hyperband's best
and of some others, item by item; and the integers of the ladder and the arms' calls are counted again. Exit code 1 where a line
does not hold. Needs torch, gpytorch, botorch, transformers, peft, h5py and pandas.
"""

import argparse
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "analysis"))

import tables  # noqa: E402

LINES = []


def line(what, count, difference, allowed, holds=None):
    good = holds if holds is not None else difference <= allowed
    LINES.append((what, count, difference, allowed, good))


# ---- the ladder and the calls ----


def brackets(items, pool, least, eta):
    """The paper's table, by whole numbers: [(s, [(candidates, items)])]."""
    largest = 0
    while least * eta ** (largest + 1) <= items:
        largest += 1
    out = []
    for s in range(largest, -1, -1):
        first = min(pool, -((-(largest + 1) * eta**s) // (s + 1)))
        out.append((s, [(max(1, first // eta**i), items if i == s else items * eta**i // eta**s) for i in range(s + 1)]))
    return out


def bits_of(evaluations, split):
    """Of each instruction its bits, '?' where nobody looked."""
    out = {}
    for row in evaluations[evaluations["split"] == split].itertuples():
        text = out.setdefault(row.instruction, bytearray())
        text.extend(b"?" * max(0, row.end - len(text)))
        text[row.begin : row.end] = row.bits.encode()
    return {text: bits.decode() for text, bits in out.items()}


def check_ladder(config, frames, bits):
    ladder, pool = frames["hyperband"], list(frames["instructions"]["text"])
    paid = {}
    if ladder.empty:
        return paid
    if config["hyperband_levels"] == "exact":
        wanted = [(s, i, n, b) for s, stages in brackets(config["items"]["validation"], len(pool), config["bmin"], config["eta"])
                  for i, (n, b) in enumerate(stages)]
        found = [(s, i, len(rows), rows["items"].iloc[0]) for (s, i), rows in ladder.groupby(["bracket", "stage"], sort=False)]
        line("ladder: brackets, stages, candidates and items", len(found), sum(a != b for a, b in zip(wanted, found, strict=False)), 0,
             wanted == found)
    wrong_counts = calls = kept = 0
    stages = list(ladder.groupby(["bracket", "stage"], sort=False))
    for place, ((bracket, _), rows) in enumerate(stages):
        for row in rows.itertuples():
            text = pool[row.instruction]
            wrong_counts += bits[text][: row.items].count("0") != row.wrong
            calls += max(0, row.items - paid.get(text, 0)) != row.calls
            paid[text] = max(paid.get(text, 0), row.items)
        best = rows.sort_values(["wrong", "instruction"])["instruction"].tolist()
        last = place + 1 == len(stages) or stages[place + 1][0][0] != bracket
        keep = best[: 1 if last else len(stages[place + 1][1])]
        kept += set(rows[rows["kept"]]["instruction"]) != set(keep)
    line("ladder: wrong answers, from the bits", len(ladder), wrong_counts, 0)
    line("ladder: calls, an item paid once", len(ladder), calls, 0)
    line("ladder: the best are kept, ties by id", len(stages), kept, 0)
    return paid


def check_calls(frames, bits, paid):
    arms, asked = frames["arms"], frames["asked"]
    own = arms[arms["arm"] != "hyperband_best"]
    wrong_counts = calls = totals = 0
    for arm in own.itertuples():
        known, total = dict(paid), 0
        for row in asked[(asked["arm"] == arm.arm) & (asked["seed"] == arm.seed)].itertuples():
            wrong_counts += bits[row.text][: row.items].count("0") != row.wrong
            price = max(0, row.items - known.get(row.text, 0))
            known[row.text] = max(known.get(row.text, 0), row.items)
            calls += price != row.calls
            total += price
        totals += total != arm.own_calls or arm.calls != arm.own_calls + sum(paid.values())
    line("arms: wrong answers, from the bits", len(asked), wrong_counts, 0)
    line("arms: calls of each question", len(asked), calls, 0)
    line("arms: sums of calls", len(own), totals, 0)
    short = own[own["own_calls"] < own["own_calls"].max()]
    why = "" if short.empty else " but " + ", ".join(f"{r.arm} {r.seed}: {r.own_calls} ({r.end})" for r in short.itertuples())
    line(f"arms: asked equally often, {own['own_calls'].max() if len(own) else 0} times{why}", len(own), len(short), 0,
         (short["end"] != "budget").all())


# ---- Gaussian processes ----


def whole(values):
    """Without the padding of items of unequal size."""
    values = values[~np.isnan(values).reshape(len(values), -1).all(1)]
    return torch.from_numpy(values[:, ~np.isnan(values).all(0)] if values.ndim == 2 else values)


def gpytorch_model(x, y, noise, flat, config):
    import gpytorch
    from botorch.models.gpytorch import GPyTorchModel

    features = config["gp_latent_dim"] if config["gp_adapter"] else x.shape[1]

    def gamma(shape, rate):  # plain numbers would be rounded to float32 first
        return gpytorch.priors.GammaPrior(*(torch.tensor(v, dtype=torch.float64) for v in (shape, rate)))

    class Process(gpytorch.models.ExactGP, GPyTorchModel):
        _num_outputs = 1

        def __init__(self, likelihood):
            super().__init__(x, y, likelihood)
            hidden = config["gp_hidden_dim"]
            self.adapter = torch.nn.Sequential(torch.nn.Linear(x.shape[1], hidden), torch.nn.ReLU(), torch.nn.LayerNorm(hidden),
                                               torch.nn.Linear(hidden, features)) if config["gp_adapter"] else torch.nn.Identity()
            self.mean_module = gpytorch.means.ZeroMean()
            self.covar_module = gpytorch.kernels.ScaleKernel(
                gpytorch.kernels.MaternKernel(nu=2.5, ard_num_dims=features, lengthscale_prior=gamma(3, 6)),
                outputscale_prior=gamma(2, 0.15))

        def forward(self, z):
            z = self.adapter(z)
            return gpytorch.distributions.MultivariateNormal(self.mean_module(z), self.covar_module(z))

    likelihood = gpytorch.likelihoods.FixedNoiseGaussianLikelihood(noise)
    model = Process(likelihood).double()
    kernel, at = model.covar_module, 0
    for p in [*model.adapter.parameters(), kernel.base_kernel.raw_lengthscale, kernel.raw_outputscale]:
        with torch.no_grad():
            p.copy_(flat[at : at + p.numel()].view(p.shape))
        at += p.numel()
    return model, likelihood


class Fit:
    """A stored fit in GPyTorch; scale: inputs [N, d] whose range normalises."""

    def __init__(self, row, stored, scale, config):
        inputs, targets, noise, flat = stored
        self.low, span = scale.min(0).values, scale.max(0).values - scale.min(0).values
        self.range = torch.where(span > 0, span, torch.ones_like(span))
        self.mean = targets.mean()
        deviation = targets.std() if len(targets) > 1 else torch.tensor(1.0)
        self.std = deviation if deviation >= 1e-8 else torch.tensor(1.0).double()
        self.y, self.row = (targets - self.mean) / self.std, row
        self.model, self.likelihood = gpytorch_model(self.normalised(inputs), self.y, noise / self.std**2 + row.jitter, flat, config)

    def normalised(self, x):
        return (x - self.low) / self.range

    def loss(self):
        import gpytorch

        self.model.train(), self.likelihood.train()
        with torch.no_grad():
            mll = gpytorch.mlls.ExactMarginalLogLikelihood(self.likelihood, self.model)
            return -mll(self.model(*self.model.train_inputs), self.y).item()

    def at(self, point):
        """Mean and standard deviation of the targets at one point, not normalised."""
        self.model.eval(), self.likelihood.eval()
        with torch.no_grad():
            found = self.model(self.normalised(point.double()).view(1, -1))
            return (found.mean * self.std + self.mean).item(), (found.variance.sqrt() * self.std).item()

    def log_ei(self, point, best):
        from botorch.acquisition.analytic import LogExpectedImprovement

        self.model.eval(), self.likelihood.eval()
        with torch.no_grad():
            value = LogExpectedImprovement(self.model, best_f=(best - self.mean) / self.std)(self.normalised(point.double()).view(1, 1, -1))
        return value.item() + math.log(self.std)


def stored_fits(results, frames, config):
    rows = frames["gp"]
    read = {name: results[f"lipo/gp_{name}"] for name in ("inputs", "targets", "noise", "parameters")} if len(rows) else {}
    out, scales = {}, {}
    for place, row in enumerate(rows.itertuples()):
        stored = [whole(np.asarray(read[name][place], dtype=np.float64)) for name in ("inputs", "targets", "noise", "parameters")]
        if row.arm == "hyperband_proposals" or row.number == 0:
            scales[row.arm, row.seed] = stored[0]
        out[row.arm, row.seed, row.number] = Fit(row, stored, scales[row.arm, row.seed], config)
    return out


class Encoder:
    """mu of an embedding, by the stored parameters of the autoencoder."""

    def __init__(self, flat, width, config):
        self.layers, at, last = [], 0, width
        take = lambda *shape: (shape, int(np.prod(shape)))  # noqa: E731
        widths = [(w, True) for w in config["vae_encoder_dims"]] + [(2 * config["latent_dim"], False)]
        for out, normed in widths:
            parts = []
            for shape, size in [take(out, last), take(out)] + ([take(out), take(out)] if normed else []):
                parts.append(flat[at : at + size].view(shape))
                at += size
            self.layers.append(parts)
            last = out
        self.latent = config["latent_dim"]

    def __call__(self, x):
        for parts in self.layers:
            x = torch.nn.functional.linear(x, parts[0], parts[1])
            if len(parts) == 4:
                x = torch.nn.functional.layer_norm(x.relu(), x.shape[-1:], parts[2], parts[3])
        return x[..., : self.latent].double()


def check_processes(results, frames, config):
    fits = stored_fits(results, frames, config)
    differences = [abs(fit.loss() - fit.row.loss) for fit in fits.values()]
    line("processes: -(log likelihood + log priors) / N, GPyTorch", len(fits), max(differences, default=0), 1e-9)
    line("processes: mean and deviation of the targets", len(fits),
         max((abs(f.mean.item() - f.row.target_mean) + abs(f.std.item() - f.row.target_std) for f in fits.values()), default=0), 1e-12)
    embeddings, latents = (torch.from_numpy(np.asarray(results[f"lipo/{name}"])) for name in ("embeddings", "latents"))
    encoder = Encoder(torch.from_numpy(np.asarray(results["lipo/vae_parameters"][0])), embeddings.shape[1], config)
    line("latents of the pool: mu, PyTorch", len(latents), (encoder(embeddings) - latents).abs().max().item(), 1e-5)
    scores = []
    ladder = frames["hyperband"]
    numbers = sorted(number for arm, _, number in fits if arm == "hyperband_proposals")
    first = ladder[ladder["stage"] == 0] if len(ladder) else ladder
    for row in first.itertuples():
        before = [n for n in numbers if n <= row.proposal]
        if not before or math.isnan(row.score):
            continue
        fit = fits["hyperband_proposals", 0, before[-1]]
        mean, std = fit.at(latents[row.instruction])
        u = (mean - (fit.y.max() * fit.std + fit.mean).item()) / std
        phi, cumulative = math.exp(-u * u / 2) / math.sqrt(2 * math.pi), 0.5 * math.erfc(-u / math.sqrt(2))
        scores.append(abs(std * (phi + u * cumulative) - row.score))
    line("ladder: expected improvement of proposals, GPyTorch", len(scores), max(scores, default=0), 1e-9)
    check_rounds(results, frames, fits, encoder)


def check_rounds(results, frames, fits, encoder):
    """Posterior and acquisition of every round of an arm."""
    rounds, arms = frames["iterations"], frames["arms"]
    start = arms[arms["arm"] == "hyperband_best"]["validation_error"].iloc[0]
    best, means, stds, values = {}, [], [], []
    read = {name: np.asarray(results[f"lipo/{name}"]) for name in ("proposals", "proposal_latents", "proposal_embeddings")} if len(rounds) else {}
    for place, row in enumerate(rounds.itertuples()):
        before = best.get((row.arm, row.seed), start)
        best[row.arm, row.seed] = row.best_error
        fit = fits.get((row.arm, row.seed, row.round))
        if fit is None:
            continue
        sign = 1 if row.arm == "plan_sign" else -1
        embedding = torch.from_numpy(read["proposal_embeddings"][place])
        if row.arm == "hyperband":
            text = torch.from_numpy(read["proposal_latents"][place])
        else:
            text = embedding if row.arm == "raw_embedding" else encoder(embedding)
        mean, std = fit.at(text)
        means.append(abs(sign * mean - row.predicted_mean))
        stds.append(abs(std - row.predicted_std))
        point = text if row.arm == "hyperband" else torch.from_numpy(read["proposals"][place])
        if not math.isnan(row.acquisition) and not point.isnan().any():
            values.append(abs(fit.log_ei(point, sign * before) - row.acquisition))
    # The embedding goes through a float32 autoencoder first, whose rounding is what differs.
    line("rounds: predicted error of the text, GPyTorch", len(means), max(means, default=0), 1e-6)
    line("rounds: its standard deviation", len(stds), max(stds, default=0), 1e-6)
    line("rounds: log EI of the proposal, BoTorch", len(values), max(values, default=0), 1e-7)


# ---- answers ----

def last_number(text):
    found = None
    for match in re.finditer(r"[0-9]+(?:,[0-9]{3}(?![0-9]))*(?:\.[0-9]+)?", text):
        start = match.start()
        negative = start > 0 and text[start - 1] == "-" and not (start > 1 and text[start - 2].isdigit())
        found = float(match.group().replace(",", "")) * (-1 if negative else 1)
    return found


def check_answers(config, frames, others):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    items = {"validation": [], "test": []}
    for text in Path(config["items"]["path"]).read_text().splitlines():
        item = json.loads(text)
        if item.get("split") in items:
            items[item["split"]].append(item)
    if not items["validation"] or config["chat"] or config["extraction"] != "whole":
        print("answers: not checked: the items name no split, or a chat template or the recorded extraction is used")
        return
    tokenizer = AutoTokenizer.from_pretrained(config["model"])
    model = AutoModelForCausalLM.from_pretrained(config["model"], dtype=torch.float32)
    if config["adapter"]:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, config["adapter"]).merge_and_unload()
    model.eval()
    stops = model.generation_config.eos_token_id
    stops = [stops] if isinstance(stops, int) else list(stops)
    arms, evaluations = frames["arms"], frames["evaluations"]
    own = arms[arms["arm"] != "hyperband_best"]
    chosen = [("Hyperband's best", arms[arms["arm"] == "hyperband_best"]["text"].iloc[0])]
    if len(own):
        chosen.insert(0, ("the winner", own.loc[own["validation_error"].idxmin(), "text"]))
    rest = [t for t in dict.fromkeys(evaluations["instruction"]) if t not in {text for _, text in chosen}]
    step = max(1, len(rest) // others)
    chosen += [("others", text) for text in rest[::step][:others]]
    found = {}
    for kind, text in chosen:
        for split in ("validation", "test"):
            bits = bits_of(evaluations, split).get(text, "")
            asked = [i for i, bit in enumerate(bits) if bit != "?"]
            differs = 0
            for begin in range(0, len(asked), 64):
                part = asked[begin : begin + 64]
                answers = answers_of(model, tokenizer, stops, config, text, [items[split][i] for i in part])
                differs += sum(right != (bits[i] == "1") for right, i in zip(answers, part, strict=True))
            count, wrong = found.get((kind, split), (0, 0))
            found[kind, split] = (count + len(asked), wrong + differs)
    for (kind, split), (count, wrong) in found.items():
        if count:
            line(f"answers, {split}: {kind}, transformers", count, wrong, 0)


def answers_of(model, tokenizer, stops, config, instruction, items):
    """Whether each answer's last number is the item's."""
    prompts = [config["prompt"].replace("{question}", i["question"]).replace("{instruction}", instruction) for i in items]
    ids = [tokenizer(p, add_special_tokens=False)["input_ids"] for p in prompts]
    width = max(map(len, ids))
    inputs = torch.tensor([[stops[0]] * (width - len(i)) + i for i in ids])
    mask = torch.tensor([[0] * (width - len(i)) + [1] * len(i) for i in ids])
    out = model.generate(inputs, attention_mask=mask, max_new_tokens=config["max_new_tokens"], do_sample=False, eos_token_id=stops,
                         pad_token_id=stops[0])[:, width:].tolist()
    right = []
    for row, item in zip(out, items, strict=True):
        end = next((i for i, token in enumerate(row) if token in stops), len(row))
        number, gold = last_number(tokenizer.decode(row[:end])), last_number(item["answer"].split("####")[-1])
        right.append(number is not None and abs(number - gold) <= 1e-6)
    return right


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--others", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tables.open_results(arguments.results) as results:
        if len(results["lipo/vae_parameters"]) != 1:
            sys.exit(f"{arguments.results}: a sweep's combinations lie in one file; check a run of one combination")
        config = tables.config(results)["lipo"]
        names = ("instructions", "evaluations", "hyperband", "gp", "iterations", "asked", "arms")
        frames = {name: tables.table(results, f"lipo/{name}") for name in names}
        bits = bits_of(frames["evaluations"], "validation")
        check_calls(frames, bits, check_ladder(config, frames, bits))
        check_processes(results, frames, config)
        check_answers(config, frames, arguments.others)
    for what, count, difference, allowed, good in LINES:
        print(f"{'holds ' if good else 'DIFFERS'} {what}: {count} compared, difference {difference:.3g} (allowed {allowed:g})")
    failed = sum(not entry[-1] for entry in LINES)
    print(f"{len(LINES) - failed} of {len(LINES)} lines hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
