"""What the pages say, as far as a script can know it: links, paths and commands that exist, counts of shipped data, and
the list of tables and columns, which small runs of every method print again.

    .venv/bin/python tests/pages/pages_test.py build/release/preimage
"""
import collections
import contextlib
import gzip
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PREIMAGE = Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else ROOT / "build/release/preimage"
PAGES = [page for page in sorted(ROOT.rglob("*.md"))
         if page.relative_to(ROOT).parts[0] in ("README.md", "jobs", "src", "analysis", "bench")]
BELOW = "<!-- printed by scripts/list_columns.py: do not edit below -->\n"
TOP = {path.name for path in ROOT.iterdir()}
MADE = ("build", "out", "models", "data", ".venv", ".venv-reference")  # by commands of the pages

sys.path.insert(0, str(ROOT / "scripts"))
import list_columns  # noqa: E402

QUICK = {
    "dcm": {"dcm.data.count": 2, "dcm.k": 2, "dcm.k_sweep": [2], "dcm.k_sweep_pairs": 1, "dcm.schedule.steps": 2,
            "dcm.restarts": 1},
    "verifier": {"verifier.data.candidates": "CANDIDATES", "verifier.data.validation_limit": 0,
                 "verifier.data.test_limit": 0, "verifier.arms.kinds": ["ouroboros"], "verifier.arms.hidden_size": 32,
                 "verifier.arms.layers": 1, "verifier.arms.heads": 2, "verifier.arms.max_tokens": 32,
                 "verifier.arms.energy": "sigmoid", "verifier.losses": ["margin"], "verifier.training_seeds": 1,
                 "verifier.train.epochs": 1, "verifier.keep_inputs": True, "verifier.bootstrap_draws": 100},
    "grpo": {"grpo.pools.problems.limit": 1, "grpo.pools.samples": 2, "grpo.pools.max_new_tokens": 8,
             "grpo.extraction.pairs": "jobs/data/grpo/pairs.md#all-in-one/pair_0", "grpo.extraction.heldout": 7,
             "grpo.extraction.k": 1, "grpo.probe.steps": 1, "grpo.probe.lora_rank": 1, "grpo.nulls.draws": 10,
             "grpo.nulls.style_pairs": "", "grpo.bootstrap_draws": 100},
    "ips": {"ips.data.limit": 1, "ips.search.methods": ["ga", "ppo"], "ips.search.seeds": 1, "ips.search.calls": 6,
            "ips.ga.population": 3, "ips.rl.horizon": 1, "ips.rl.episodes": 1, "ips.negative.noise_draws": 1,
            "ips.decide.false_pairs": 1, "ips.bootstrap_draws": 100},
    "grpo_sweep": {"grpo.pools.problems.limit": 1, "grpo.extraction.pairs": "jobs/data/grpo/pairs.md#all-in-one/pair_0",
                   "grpo.extraction.heldout": 7, "grpo.extraction.k": 1, "grpo.sweep.seeds": [41],
                   "grpo.sweep.arms": ["vanilla", "projected"], "grpo.sweep.steps": 1, "grpo.sweep.prompts": 1,
                   "grpo.sweep.group": 2, "grpo.sweep.max_new_tokens": 4, "grpo.sweep.evaluate_samples": 1,
                   "grpo.sweep.evaluate_problems": 1},
    "lipo": {"lipo.items.validation": 16, "lipo.items.test": 8, "lipo.bmin": 8, "lipo.ape_num_instructions": 12,
             "lipo.vae_epochs": 4, "lipo.vae_annealing_epochs": 2, "lipo.iterations": 1, "lipo.raw_samples": 8,
             "lipo.num_restarts": 2, "lipo.redraws": 1, "lipo.arms": ["latent"]},
}


def environment():
    """Not the machine's threads: these runs are tiny."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


def run_job(job, out, settings):
    command = [PREIMAGE, "run", job, "--out", out, "--set", "run.device=cpu"]
    for field, value in settings.items():
        command += ["--set", f"{field}={value if isinstance(value, str) else json.dumps(value)}"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return str(Path(out) / "results.h5")


def write_candidates(path):
    with open(path, "w") as file:
        for problem in range(12):
            for candidate in range(4):
                file.write(json.dumps({"prompt": f"task {problem * 7}", "code": f"x = {candidate}",
                                       "label": candidate % 2, "problem": f"p{problem}", "candidate": candidate}) + "\n")


def finetune_job(folder):
    text = Path(folder) / "text.jsonl"
    text.write_text('{"text": "a b c d e f g"}\n' * 4)
    job = json.loads((ROOT / "jobs/finetune/pocket-coder.json").read_text())
    job["finetune"].update(model=str(ROOT / "jobs/models/pocket-lm"), text=str(text), validation=str(text))
    job["finetune"]["train"].update(steps=2, context=16, shard_tokens=32, micro_shards=1)
    if "steps" in job["finetune"]["train"]["schedule"]:
        job["finetune"]["train"]["schedule"]["steps"] = 2
    job["finetune"]["train"]["schedule"]["warmup_steps"] = 0
    path = Path(folder) / "finetune.json"
    path.write_text(json.dumps(job))
    return path


class Tables(unittest.TestCase):
    def test_every_table_and_column_is_listed_as_files_have_them(self):
        with tempfile.TemporaryDirectory() as folder:
            write_candidates(f"{folder}/candidates.jsonl")
            QUICK["verifier"]["verifier.data.candidates"] = f"{folder}/candidates.jsonl"
            files = [run_job(f"jobs/quick/{method}.json", f"{folder}/{method}", settings)
                     for method, settings in QUICK.items()]
            files.insert(1, run_job(finetune_job(folder), f"{folder}/finetune", {}))
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                list_columns.main(files)
        page = (ROOT / "analysis/README.md").read_text()
        self.assertIn(BELOW, page)
        expected, found = printed.getvalue().strip().splitlines(), page.split(BELOW)[1].strip().splitlines()
        if os.environ.get("PREIMAGE_WRITE_PAGES"):
            (ROOT / "analysis/README.md").write_text(page.split(BELOW)[0] + BELOW + "\n" + "\n".join(expected) + "\n")
            return
        self.assertEqual(expected, found, "PREIMAGE_WRITE_PAGES=1 with this test writes the list anew")


class Links(unittest.TestCase):
    def test_relative_links_lead_somewhere(self):
        for page in PAGES:
            for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
                if not target.startswith(("http:", "https:")):
                    self.assertTrue((page.parent / target).exists(), f"{page}: {target}")

    def test_paths_in_code_exist(self):
        for page in PAGES:
            for path in re.findall(r"`((?:src|include|tests|scripts|analysis|bench|jobs)/[\w./-]+)`", page.read_text()):
                if not any(word in path for word in ("ROOM", "NAME", "METHOD", "DIR")):
                    self.assertTrue((ROOT / path).exists(), f"{page}: {path}")

    def test_commands_start_with_something_that_is_there(self):
        for page in PAGES:
            for block in re.findall(r"```(?:bash|console)\n(.*?)```", page.read_text(), re.S):
                for line in block.splitlines():
                    word = re.sub(r"^\$ ", "", line.strip()).split(" ")[0]
                    if "/" in word and word.split("/")[0] not in MADE and word.split("/")[0] in TOP:
                        self.assertTrue((ROOT / word).exists(), f"{page}: {line}")


class Commands(unittest.TestCase):
    def test_commands_and_options_of_the_pages_exist(self):
        helps = collections.defaultdict(str)
        for page in PAGES:
            for line in page.read_text().splitlines():
                for command, rest in re.findall(r"preimage (run|launch|validate|submit|status|inspect|merge|export|methods|"
                                                r"schema|generate|score|embed|tokenize|judge)\b([^`|#]*)", line):
                    if command not in helps:
                        helps[command] = subprocess.run([PREIMAGE, command, "--help"], capture_output=True, text=True,
                                                        env=environment()).stdout
                    for option in re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", rest):
                        self.assertIn(option, helps[command], f"{page}: preimage {command} {option}")


class Counts(unittest.TestCase):
    def test_problems_of_small_functions(self):
        rows = [json.loads(line) for line in gzip.open(ROOT / "jobs/data/functions/problems.jsonl.gz", "rt")]
        kinds = len({row["kind"] for row in rows})
        for page in ("jobs/data/README.md", "jobs/data/functions/README.md"):
            text = (ROOT / page).read_text()
            self.assertRegex(text, rf"{len(rows)}( small programming)? problems of {kinds} kinds", page)


if __name__ == "__main__":
    unittest.main()
