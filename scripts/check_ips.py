#!/usr/bin/env python3
"""Computes anew, in plain Python from the stored texts, what an ips run says of its prompts, its calls and its hypotheses.

    .venv-reference/bin/python scripts/check_ips.py RESULTS.h5

From `prompt`, `completion` and `code`: similarities (rapidfuzz), syntax trees (ast), copies, |P| (tokenizers), requests for
repetition. From these and the stored losses, probes and cosines: Fit, tau, the rules R1 to R6, the calls of each search, the
decisions (Wilson and McNemar by scipy, intervals by another bootstrap). Prints a line for each kind of value, and what differs;
exit code 1 where anything does. scripts/check_accepted.py decodes the accepted prompts with transformers.
"""
import ast
import collections
import itertools
import json
import math
import re
import sys
from pathlib import Path

import reference_libraries

reference_libraries.require("numpy", "rapidfuzz", "scipy", "tokenizers", "pandas")

import numpy as np  # noqa: E402
from rapidfuzz.distance import LCSseq, Levenshtein  # noqa: E402
from scipy.stats import binomtest  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "analysis"))

import tables  # noqa: E402

REPEATING = set("repeat copy echo reproduce recite restate retype transcribe duplicate paste replicate parrot quote regurgitate".split())
WRITING = set("print output write return type say give show display emit answer respond reply rewrite".split())
AHEAD = set("this these following below verbatim exactly literally unchanged".split())
BEHIND = {"above", "preceding", "previous"}
WORD = re.compile(r"[A-Za-z0-9_\x80-\U0010ffff]+|[^\s\x00]", re.ASCII)
LOWER = {ord("A") + i: ord("a") + i for i in range(26)}


class Report:
    def __init__(self):
        self.counts, self.wrong = collections.Counter(), collections.Counter()

    def equal(self, what, stored, expected, where, tolerance=1e-12):
        self.counts[what] += 1
        same = stored == expected
        if isinstance(expected, float) and not isinstance(stored, str):
            same = (math.isnan(stored) and math.isnan(expected)) or abs(stored - expected) <= tolerance
        if same:
            return
        self.wrong[what] += 1
        if self.wrong[what] <= 3:
            print(f"{what}: {where}: found {stored!r}, computed {expected!r}")

    def end(self):
        for what, count in self.counts.items():
            print(f"{what}: {count - self.wrong[what]} of {count}")
        return 1 if self.wrong else 0


def code_tokens(text):
    return [token.translate(LOWER) for token in WORD.findall(text)]


def normal_lines(text):
    lines = [line.rstrip(" \t\v\f") for line in re.sub("\r\n?", "\n", text).split("\n")]
    full = [i for i, line in enumerate(lines) if line]
    return "\n".join(lines[full[0] : full[-1] + 1]) if full else ""


def normal_code(answer):
    if (final := answer.rfind("<|channel|>final<|message|>")) >= 0:
        answer = re.split(r"<\|(?:end|return|call|start)\|>", answer[final + len("<|channel|>final<|message|>") :])[0]
    if block := re.search(r"^ {0,3}(`{3,}|~{3,})[^\n]*\n(.*?)(?:^ {0,3}\1[`~]*\s*$|\Z)", answer, re.MULTILINE | re.DOTALL):
        answer = block.group(2)
    return normal_lines(answer)


def tree(code):
    try:
        parsed = ast.parse(code)
    except (SyntaxError, ValueError):
        return None
    for node in ast.walk(parsed):
        if isinstance(node, ast.Constant):
            node.kind = None
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                del node.body[0]
    return ast.dump(parsed)


def overlap(prompt, target):
    best = 0.0
    for n in (3, 4, 5):
        mine, theirs = (collections.Counter(zip(*(tokens[i:] for i in range(n)))) for tokens in (prompt, target))
        best = max(best, sum((mine & theirs).values()) / max(1, sum(mine.values())))
    return best


def longest_run(a, b):
    best, ends = 0, [0] * (len(b) + 1)
    for symbol in a:
        ends = [0] + [ends[j] + 1 if symbol == b[j] else 0 for j in range(len(b))]
        best = max(best, *ends)
    return best


def asks_repetition(prompt):
    tokens = list(itertools.chain.from_iterable((["\n"] if i else []) + code_tokens(line) for i, line in enumerate(prompt.split("\n"))))
    words = [token != "\n" for token in tokens]
    for i, verb in enumerate(tokens):
        repeating, pointed = verb in REPEATING, False
        if not repeating and verb not in WRITING:
            continue
        for j in range(i + 1, min(len(tokens), i + 9)):
            token, here, far = tokens[j], sum(words[j + 1 :]) >= 4, j - i
            amount = j + 1 < len(tokens) and tokens[j + 1][0].isdigit()
            if token in BEHIND and not amount and sum(words[:i]) >= 4:
                return True
            if token in (":", "\n") and here and (pointed or (repeating and far <= 3)):
                return True
            if token in "\"'`" and here and (pointed or (repeating and far <= 2)):
                return True
            if token in AHEAD:
                if repeating and here:
                    return True
                pointed = True
    return False


class Run:
    def __init__(self, path):
        with tables.open_results(Path(path)) as results:
            self.config = tables.config(results)["ips"]
            for name in ("targets", "evaluations", "completions", "accepted", "summary", "negative", "decisions"):
                setattr(self, name, tables.table(results, "ips/" + name))
        self.tokenizer = Tokenizer.from_file(str(Path(self.config["model"]["dir"]) / "tokenizer.json"))
        self.target = {row.target_id: row for row in self.targets.itertuples()}
        self.answers = {(row.target_id, row.prompt): row.completion for row in self.completions.itertuples()}

    def ids(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def fitness(self, row):
        w, target = self.config["fitness"], self.target[row.target_id]
        executed = not math.isnan(row.exec)
        match = (w["lcs"] + (0 if executed else w["exec"])) * row.lcs + w["edit"] * row.edit + w["ast"] * row.ast
        match += (w["exec"] * row.exec if executed else 0) + w["nll"] * math.exp(-row.nll)
        match /= w["lcs"] + w["edit"] + w["ast"] + w["exec"] + w["nll"]
        value = match - w["alpha"] * row.prompt_tokens / target.most_tokens - w["beta"] * max(row.overlap, row.copy_embedding)
        return match, value

    def verdict(self, row, tau):
        a, target = self.config["accept"], self.target[row.target_id]
        level = "exact" if row.exact else "ast" if row.ast else ""
        if not level and row.exec == 1 and row.probes >= a["least_probes"] and row.lcs >= a["least_lcs"]:
            level = "exec"
        if not level and row.loss <= tau:
            level = "loss"
        rules = {
            "R1": a["least_tokens"] <= row.prompt_tokens <= target.most_tokens,
            "R2": row.overlap <= a["most_overlap"] and row.longest_run < max(a["longest_run"], a["longest_share"] * row.code_tokens),
            "R3": row.copy_embedding <= a["most_copy"],
            "R4": level != "",
            "R6": not row.asks_repetition,
        }
        return level, " ".join(name for name, holds in rules.items() if not holds)


def check_terms(run, report):
    codes, copies = {}, {}
    for name, rows in (("evaluations", run.evaluations), ("accepted", run.accepted)):
        for row in rows.itertuples():
            where, target = f"{name}, {row.target_id}, {row.prompt!r}", run.target[row.target_id]
            goal = normal_lines(target.code)
            if row.target_id not in codes:
                codes[row.target_id] = run.ids(goal), tree(goal), code_tokens(goal)
            ids, goal_tree, goal_tokens = codes[row.target_id]
            key = row.target_id, row.prompt
            if key not in copies:
                mine = code_tokens(row.prompt)
                copies[key] = overlap(mine, goal_tokens), longest_run(mine, goal_tokens), asks_repetition(row.prompt), len(run.ids(row.prompt))
            for column, value in zip(("overlap", "longest_run", "asks_repetition", "prompt_tokens"), copies[key]):
                report.equal(column, getattr(row, column), value, where)
            report.equal("code_tokens", row.code_tokens, len(goal_tokens), where)
            if not getattr(row, "decoded", True):
                continue
            answer = normal_code(row.completion if name == "accepted" else run.answers[key])
            mine = run.ids(answer)
            longest = max(len(mine), len(ids))
            report.equal("lcs", row.lcs, LCSseq.similarity(mine, ids) / longest if longest else 1.0, where)
            report.equal("edit", row.edit, Levenshtein.normalized_similarity(answer, goal), where)
            report.equal("exact", row.exact, answer == goal, where)
            if target.language == "python":
                report.equal("ast", row.ast, goal_tree is not None and tree(answer) == goal_tree, where)
            match, value = run.fitness(row)
            report.equal("match", row.match, match, where)
            report.equal("fitness", row.fitness, value, where)


def check_acceptance(run, report):
    rows = run.evaluations
    matched = sorted(row.loss for row in rows[rows.method == "manual"].itertuples() if run.verdict(row, -1)[0])
    tau = min(run.config["accept"]["most_loss"], float(np.percentile(matched, 90))) if matched else 0.0
    for row in rows.itertuples():
        if not getattr(row, "decoded", True):
            continue
        where = f"{row.target_id}, {row.prompt!r}"
        level, failed = run.verdict(row, tau)
        report.equal("level", row.level, level, where)
        report.equal("failed rules", row.failed, failed, where)
        report.equal("accepted", row.accepted, failed == "", where)
    good = {(row.target_id, row.prompt) for row in rows[rows.accepted].itertuples()}
    report.equal("accepted prompts are those of the table", {(r.target_id, r.prompt) for r in run.accepted.itertuples()}, good, "ips/accepted")
    for row in run.accepted.itertuples():
        where = f"accepted, {row.target_id}, {row.prompt!r}"
        report.equal("R1 to R6 of accepted prompts", row.accepted, run.verdict(row, tau)[1] == "" and row.repeats_equal, where)


def check_calls(run, report):
    """Equal for all: a search pays for each answer, loss, gradient and sample that it had not bought before, and stops at the limit."""
    rows, most = run.evaluations, run.config["search"]["calls"]
    distinct = set()
    for row in run.summary.itertuples():
        where = f"{row.target_id}, {row.method}, {row.seed}"
        own = rows[(rows.target_id == row.target_id) & (rows.method == row.method) & (rows.seed == row.seed)].sort_values("index")
        seen, paid = set(), 0
        for one in own.itertuples():
            key = one.prompt_ids, getattr(one, "decoded", True)
            report.equal("cache_hit", one.cache_hit, key in seen, where + f", {one.index}")
            paid += key not in seen
            seen.add(key)
        decoded = {ids for ids, whole in seen if whole}
        distinct |= {(row.target_id, ids) for ids in decoded}
        report.equal("calls_executed", row.calls_executed, paid + row.gradient_calls + row.proposal_calls, where)
        report.equal("calls_requested", row.calls_requested, row.calls_executed + row.cache_hits, where)
        report.equal("nll_passes", row.nll_passes, paid, where)
        report.equal("calls within the limit", row.calls_executed <= most, True, where)
        report.equal("calls of a row never fall", bool((np.diff(own["calls"]) >= 0).all()), True, where)
        if row.stop_rule == "budget":  # what is left is less than the next thing costs
            report.equal("a search that ran out has used its calls", most - row.calls_executed < 64, True, where)
        found = own[own.accepted]
        report.equal("calls_to_success", row.calls_to_success, int(found["calls"].iloc[0]) if len(found) else -1, where)
        report.equal("best_fitness", row.best_fitness, float(own["fitness"].max()), where)
    used = run.summary.groupby("method")["calls_executed"].agg(["min", "mean", "max"])
    print(f"calls of a search, at most {most}:\n{used.to_string()}")
    every = len(run.answers)
    print(f"answers written: {every} distinct prompts of a target; {len(distinct)} of searches, which paid {int(run.summary.calls_executed.sum())} calls")


def wilson(good, n, z=1.959963984540054):
    if n == 0:
        return math.nan, 0.0, 1.0  # nothing is known
    p, q = good / n, z * z / n
    middle, half = (p + q / 2) / (1 + q), z / (1 + q) * math.sqrt(p * (1 - p) / n + q / (4 * n))
    return p, middle - half, middle + half


def verdict_of(low, high, threshold):
    return "holds" if low > threshold else "fails" if high < threshold else "undecided"


def check_decisions(run, report):
    decide, summary, draw = run.config["decide"], run.summary, np.random.default_rng(0)
    for row in run.decisions.itertuples():
        where = row.statement
        if row.hypothesis == "H1":
            tried = set(run.evaluations[run.evaluations.method == "manual"].target_id)
            good = set(run.accepted[(run.accepted.method == "manual") & run.accepted.repeats_equal].target_id)
            for name, value in zip(("value", "low", "high"), wilson(len(good), len(tried))):
                report.equal("H1", getattr(row, name), value, name, 1e-9)
            if len(tried) >= decide["manual_targets"]:
                report.equal("H1", row.verdict, verdict_of(row.low, row.high, row.threshold), "verdict")
        elif row.hypothesis == "H2":
            first, second = re.match(r"(\w+) less (\w+),", where).groups()
            value = "censored" if "share" in where else "best_fitness"
            both = summary[summary.method == first].merge(summary[summary.method == second], on=["target_id", "seed"])
            a, b = both[value + "_x"], both[value + "_y"]
            gain = (b.astype(int) - a.astype(int)) if value == "censored" else a - b
            report.equal("H2", row.value, float(gain.mean()), where, 1e-9)
            report.equal("H2", row.n, len(gain), where)
            if value == "censored":
                only = int((gain > 0).sum()), int((gain < 0).sum())
                report.equal("H2 p", row.p, float(binomtest(only[0], sum(only)).pvalue) if sum(only) else 1.0, where, 1e-9)
            groups = [g.to_numpy(float) for _, g in gain.groupby(both.target_id)]
            picks = draw.integers(len(groups), size=(4000, len(groups)))
            sums, sizes = np.array([g.sum() for g in groups]), np.array([len(g) for g in groups])
            means = sums[picks].sum(1) / sizes[picks].sum(1)
            for name, expected in zip(("low", "high"), np.percentile(means, [2.5, 97.5])):
                report.equal("H2 interval, another bootstrap", getattr(row, name), float(expected), f"{where}, {name}", 0.03)
            if run.config["search"]["seeds"] >= decide["paired_seeds"]:
                report.equal("H2", row.verdict, verdict_of(row.low, row.high, 0), where)
        elif row.hypothesis == "check":
            tests = run.negative
            wrong, control = tests[tests.test == "wrong_target"], tests[tests.test == "positive"]
            others = tests[~tests.test.isin(["wrong_target", "positive"])]
            good, n = {
                "R5": (run.accepted.repeats_equal.sum(), len(run.accepted)),
                "prompts accepted": (wrong.accepted.sum(), len(wrong)),
                "negative tests": ((~others.as_expected).sum(), len(others)),
                "positive controls": (control.accepted.sum(), len(control)),
            }[next(key for key in ("R5", "prompts accepted", "negative tests", "positive controls") if where.startswith(key))]
            for name, value in zip(("value", "low", "high"), wilson(int(good), n)):
                report.equal("checks", getattr(row, name), value, f"{where}, {name}", 1e-9)


def main(path):
    run, report = Run(path), Report()
    check_terms(run, report)
    check_acceptance(run, report)
    check_calls(run, report)
    check_decisions(run, report)
    return report.end()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
