#!/usr/bin/env python3
"""Is a data set of searched instructions worth more than others? Stage 5 of `ips`, hypothesis H4.

    .venv/bin/python scripts/ips/compare_datasets.py RUN_DIR --model jobs/models/pocket-coder --items jobs/data/functions/final.jsonl.gz \\
        --rules jobs/data/ips/constraints.jsonl [--arm NAME=FORMAT:FILE ...] [--pattern '{prompt}\\n\\n'] [--steps 60] [--seeds 3] [--device cuda]

Arms: untouched (the model as it is); ips (prompt and target of each row of ips/accepted that is accepted); generated (as many of the
model's own proposals with what it wrote for them, right or not); and any --arm, its format alpaca ([{"instruction", "input",
"output"}], also as lines), self_instruct ({"instruction", "instances"}, or {"prompt", "completion"}) or pairs. Each is trained by
`preimage run` (method finetune, LoRA in PEFT's layout, loss on the answer alone) for the same steps of the same number of tokens
with the same seeds. Items (MBPP's format) whose repository (what stands before the first ":" of an id) gave a pair of the ips arm
are left out. Measured on each: loss of its code behind its text and tests, and whether the greedy answer passes these; on each line of
--rules whether the answer keeps them; on pairs of the arm and on items: whether 50 tokens (or half) of the code bring forth the
next 50 exactly (memorisation), and the loss (gap). H4 holds where the interval of ips less each other arm, by a paired bootstrap
over items with seeds averaged, lies above 0 in the share of rules kept. Writes RUN_DIR/quality/{*.jsonl, quality.json}.
"""
import argparse
import json
import math
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "analysis"))

import tables  # noqa: E402
import numpy as np  # noqa: E402
from data_formats import FormatError, read_items, read_pairs, repository, write_lines  # noqa: E402
from rules import kept  # noqa: E402

PREFIX = 50  # tokens of a memorised text, and that it must bring forth


def accepted_pairs(run):
    with tables.open_results(run) as results:
        accepted, targets = tables.table(results, "ips/accepted"), tables.table(results, "ips/targets")
    code = dict(zip(targets["target_id"], targets["code"]))
    rows = accepted[accepted["accepted"].astype(bool)].drop_duplicates(["target_id", "prompt"])
    return [{"id": row.target_id, "prompt": row.prompt, "completion": code[row.target_id]} for row in rows.itertuples()]


def generated_pairs(run, count):
    with tables.open_results(run) as results:
        tried, answers = tables.table(results, "ips/evaluations"), tables.table(results, "ips/completions")
    answer = {(row.target_id, row.prompt): row.completion for row in answers.itertuples()}
    proposals = tried[tried["method"] == "propose"].sort_values(["index", "seed", "target_id"]).drop_duplicates(["target_id", "prompt"])
    return [{"id": row.target_id, "prompt": row.prompt, "completion": answer[row.target_id, row.prompt]} for row in proposals.itertuples()][:count]


class Tools:
    """The command line: each call's lines in the order of its input."""

    def __init__(self, options, work):
        self.options, self.work, self.calls = options, work, 0

    def lines(self, tool, lines, *arguments):
        self.calls += 1
        inside, outside = self.work / f"{tool}{self.calls}.in.jsonl", self.work / f"{tool}{self.calls}.out.jsonl"
        write_lines(inside, [{"id": i, **line} for i, line in enumerate(lines)])
        self.run(tool, "--in", inside, "--out", outside, *arguments)
        return [json.loads(line) for line in outside.read_text(encoding="utf-8").splitlines()]

    def run(self, *arguments):
        done = subprocess.run([str(a) for a in (self.options.preimage, *arguments)], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"compare_datasets: preimage {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stderr[-2000:]}")

    def model(self, adapter):
        device = ["--model", self.options.model, "--device", self.options.device, "--dtype", self.options.dtype, "--batch", self.options.batch]
        return device + (["--adapter", adapter] if adapter else [])

    def train(self, name, pairs, seed):
        """The folder of the adapter."""
        o, out = self.options, self.work / f"{name}-{seed}"
        text = self.work / f"{name}.jsonl"
        write_lines(text, [{"prompt": o.pattern.replace("{prompt}", pair["prompt"]), "completion": pair["completion"]} for pair in pairs])
        train = {"steps": o.steps, "micro_shards": 2, "shard_tokens": o.shard_tokens, "context": o.context, "dtype": o.dtype, "weight_decay": 0,
                 "schedule": {"kind": "warmup-cosine", "lr": o.lr, "warmup_steps": max(1, o.steps // 10), "final_fraction": 0.02},
                 "evaluate_every": 0, "evaluate_shards": 1}  # fmt: skip
        job = {"method": "finetune", "run": {"seed": seed, "device": o.device},
               "finetune": {"model": str(o.model), "text": str(text), "validation": str(text), "trains": "lora",
                            "lora": {"rank": o.rank, "alpha": 2 * o.rank}, "save_dtype": "float32", "train": train}}  # fmt: skip
        (self.work / f"{name}-{seed}.json").write_text(json.dumps(job, indent=1))
        self.run("run", self.work / f"{name}-{seed}.json", "--out", out, "--resume")
        return out / "adapter"


def mean_loss(tools, adapter, texts):
    lines = [{"prompt": prompt, "continuation": code} for prompt, code in texts]
    return [-float(np.mean(line["logprobs"])) for line in tools.lines("score", lines, *tools.model(adapter))]


def answers(tools, adapter, prompts, longest):
    lines = [{"prompt": prompt, "max_new_tokens": longest} for prompt in prompts]
    return [line["text"] for line in tools.lines("generate", lines, *tools.model(adapter))]


def memorised(tools, adapter, codes):
    """For each code whether its beginning brings forth its next tokens; nan where it is too short to tell."""
    ids = [line["ids"] for line in tools.lines("tokenize", [{"text": code} for code in codes], "--model", tools.options.model)]
    halves = [min(PREFIX, len(one) // 2) for one in ids]
    lines = [{"prompt_ids": one[:half] or one[:1], "max_new_tokens": max(1, half)} for one, half in zip(ids, halves)]
    found = [line["ids"] for line in tools.lines("generate", lines, *tools.model(adapter))]
    return [float(new == one[half : 2 * half]) if half >= 8 else math.nan for one, half, new in zip(ids, halves, found)]


def measure(tools, adapter, pairs, items, rules):
    """{measure: values by item} of one model."""
    o = tools.options
    fill = lambda text: o.pattern.replace("{prompt}", text)  # noqa: E731
    asked = [fill(o.item.replace("{tests}", "\n".join(item["test_list"])).replace("{text}", item["text"])) for item in items]
    texts = answers(tools, adapter, asked, o.longest)
    programs = [{"program": text, "assert_tests": item["test_list"], "setup": item.get("test_setup_code", "")} for text, item in zip(texts, items)]
    verdicts = tools.lines("judge", programs, "--level", o.level)
    followed = answers(tools, adapter, [fill(rule["prompt"]) for rule in rules], o.longest)
    out = {
        "rules kept": [np.mean([kept(text, one) for one in rule["rules"]]) for text, rule in zip(followed, rules)],
        "tests passed": [float(line["verdict"] == "PASS") for line in verdicts],
        "held-out loss": mean_loss(tools, adapter, [(prompt, item["code"]) for prompt, item in zip(asked, items)]),
        "memorised, held out": memorised(tools, adapter, [item["code"] for item in items]),
    }
    if pairs:
        out["training loss"] = mean_loss(tools, adapter, [(fill(pair["prompt"]), pair["completion"]) for pair in pairs])
        out["memorised, trained"] = memorised(tools, adapter, list(dict.fromkeys(pair["completion"] for pair in pairs)))
    return out


def mean_or_none(values):
    known = [value for row in values for value in row if not math.isnan(value)]
    return float(np.mean(known)) if known else None


def paired(first, second, draws):
    """Mean difference of two arms over items with its 95 % interval; values are [seed][item]."""
    gain = np.mean(first, axis=0) - np.mean(second, axis=0)
    picks = np.random.default_rng(0).integers(len(gain), size=(draws, len(gain)))
    low, high = np.percentile(gain[picks].mean(axis=1), [2.5, 97.5])
    return float(gain.mean()), float(low), float(high), len(gain)


def decisions(found, draws):
    rows = []
    for measure_name, better in (("rules kept", 1), ("tests passed", 1), ("held-out loss", -1)):
        for name in found:
            if name == "ips":
                continue
            value, low, high, n = paired(found["ips"][measure_name], found[name][measure_name], draws)
            ends = sorted((better * low, better * high))
            verdict = "holds" if ends[0] > 0 else "fails" if ends[1] < 0 else "undecided"
            rows.append({"hypothesis": "H4", "statement": f"ips less {name}, {measure_name}", "value": value, "low": low, "high": high,
                         "n": n, "threshold": 0, "verdict": verdict})  # fmt: skip
    first = [row["verdict"] for row in rows if row["statement"].endswith("rules kept")]
    whole = "holds" if set(first) == {"holds"} else "fails" if "fails" in first else "undecided"
    return rows, whole


def arm_argument(text):
    name, found, rest = text.partition("=")
    form, colon, path = rest.partition(":")
    if not found or not colon or form not in ("alpaca", "self_instruct", "pairs") or not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"found {text}, expected NAME=FORMAT:FILE with a file that is there and a format of alpaca, self_instruct, pairs")
    return name, form, Path(path)


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished ips run")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--rules", type=Path, required=True)
    parser.add_argument("--arm", type=arm_argument, action="append", default=[])
    parser.add_argument("--pattern", default="{prompt}\n\n")
    parser.add_argument("--item", default="{text}\\n{tests}", help="what a person asks of an item")
    parser.add_argument("--preimage", default="build/release/preimage")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--level", default="full")
    for name, value in (("steps", 60), ("seeds", 3), ("shard-tokens", 1024), ("context", 512), ("rank", 8), ("limit", 60),
                        ("longest", 160), ("batch", 64), ("draws", 10000)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--lr", type=float, default=3e-3)
    options = parser.parse_args()
    options.pattern, options.item = options.pattern.replace("\\n", "\n"), options.item.replace("\\n", "\n")
    return options


def main():
    options = read_options()
    work = (options.run / "quality").resolve()
    work.mkdir(parents=True, exist_ok=True)
    own = accepted_pairs(options.run)
    if not own:
        raise SystemExit(f"compare_datasets: {options.run}: no accepted prompt, so no data set")
    arms = {"untouched": [], "ips": own, "generated": generated_pairs(options.run, len(own))}
    arms |= {name: read_pairs(path, form) for name, form, path in options.arm}
    arms = {name: pairs for name, pairs in arms.items() if pairs or name == "untouched"}
    write_lines(work / "ips_pairs.jsonl", own)
    used = {repository(pair["id"]) for pair in own}
    items = [item for item in read_items(options.items) if repository(str(item["task_id"])) not in used][: options.limit]
    rules = [json.loads(line) for line in options.rules.read_text(encoding="utf-8").splitlines()]
    tools, found, table = Tools(options, work), {}, []
    for name, pairs in arms.items():
        for seed in range(options.seeds if pairs else 1):
            adapter = tools.train(name, pairs, seed) if pairs else None
            values = measure(tools, adapter, pairs, items, rules)
            for measure_name, value in values.items():
                found.setdefault(name, {}).setdefault(measure_name, []).append(value)
        means = {key: mean_or_none(value) for key, value in found[name].items()}
        table.append({"arm": name, "pairs": len(pairs), "steps": options.steps if pairs else 0,
                      "tokens": options.steps * 2 * options.shard_tokens if pairs else 0, "seeds": len(found[name]["rules kept"]), **means})  # fmt: skip
        print(json.dumps(table[-1]), flush=True)
    rows, whole = decisions(found, options.draws)
    (work / "quality.json").write_text(json.dumps({"arms": table, "decisions": rows, "H4": whole, "items": len(items), "rules": len(rules),
                                                   "model": str(options.model)}, indent=1) + "\n")  # fmt: skip
    for row in rows:
        print(f"{row['statement']}: {row['value']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f}), n {row['n']}: {row['verdict']}")
    print(f"H4: {whole}")


if __name__ == "__main__":
    try:
        main()
    except (FormatError, tables.ResultsError, OSError) as error:
        sys.exit(f"compare_datasets: {error}")
