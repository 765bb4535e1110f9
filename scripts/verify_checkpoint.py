#!/usr/bin/env python3
"""verify_checkpoint.py DIR [--adapter DIR] [--preimage PROGRAM] [--texts FILE] [--dtype float32|bfloat16]

Puts transformers (and sentence-transformers, PEFT) beside preimage on a checkpoint of yours, and prints one table with a
verdict for each part: the tokens of 200 texts, chat renderings, the logits behind 20 prompts, 24 greedy tokens behind each,
sentence vectors. Parts that the folder does not have are left out. Runs in .venv-reference (scripts/setup.sh --reference);
the whole model is held twice, one after the other. Exit code 0: all agree; 1: something differs; 2: nothing could be compared.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
TEXTS, PROMPTS, GREEDY, TOP = 200, 20, 24, 20
# Of two float32 runs: log-probabilities, and numbers of a vector of length one. bfloat16 rounds to 2^-8.
TOLERANCE = {"float32": (2e-3, 1e-4), "bfloat16": (0.25, 3e-2)}


def made_texts():
    """Prose, code, numbers, scripts, white space, emoji, special tokens: what tokenizers trip over."""
    words = ["The quick brown fox jumps over the lazy dog", "def f(x):\n\treturn x ** 2  # squared\n", "Größe, Straße, naïve café",
             "Привет, мир! Съешь ещё этих мягких булок", "東京は日本の首都です。", "مرحبا بالعالم", "שלום עולם", "हिन्दी में पाठ",
             "한국어 문장입니다", "👩‍👩‍👧‍👦 family 🏳️‍🌈 flag", "3.14159 1,000,000 0x7F 1e-9", "  leading and trailing  ",
             "tabs\tand\nnew\r\nlines", "I'll we've don't it's", "e\u0301 vs é, ﬁ ﬂ ½ ²", "a\u00a0b\u2003c\u200bd", "{\"k\": [1, 2, null]}",
             "https://example.org/a?b=c&d=%20", "AAAAAAAAAAAAAAAAAAAAAAAA", "<s> </s> <|im_start|> [CLS] <unk>"]
    return [(words[i % len(words)] + " " + words[(7 * i + i // len(words)) % len(words)])[: 20 + 3 * i] for i in range(TEXTS)]


def read_texts(path):
    if not path:
        return made_texts()
    lines = [line for line in pathlib.Path(path).read_text(encoding="utf-8").split("\n") if line]
    return lines[:TEXTS]


class Program:
    """The preimage under test."""

    def __init__(self, arguments):
        self.path, self.model, self.arguments = arguments.preimage, arguments.model, arguments

    def run(self, command, lines, *options):
        if command in ("score", "generate", "embed"):
            options += ("--dtype", self.arguments.dtype)
            if self.arguments.adapter:
                options += ("--adapter", self.arguments.adapter)
        with tempfile.TemporaryDirectory() as folder:
            source, target = pathlib.Path(folder, "in"), pathlib.Path(folder, "out")
            source.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
            done = subprocess.run([self.path, command, "--model", self.model, "--in", source, "--out", target, *options],
                                  capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(done.stderr.strip().split("\n")[-1][:300])
            return [json.loads(line) for line in target.read_text(encoding="utf-8").split("\n") if line]


class Table:
    def __init__(self):
        self.rows = []

    def add(self, part, compared, verdict, worst):
        self.rows.append((part, str(compared), verdict, worst))

    def compare(self, part, compute):
        """compute() -> (how many were compared, those that differ as texts, the worst of the rest)."""
        try:
            count, differing, worst = compute()
        except Exception as error:  # one part must not hide the others
            self.add(part, "-", "FAILED", f"{type(error).__name__}: {error}"[:160])
            return
        self.add(part, count, "ok" if not differing else "DIFFERS", worst if not differing else
                 f"{len(differing)} differ, the first: {differing[0]}"[:160])

    def show(self):
        rows = [("part", "compared", "verdict", ""), *self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)) + "  " + row[3])


def compare_tokens(tokenizer, program, texts):
    def compute():
        theirs = [tokenizer.encode(text, add_special_tokens=True) for text in texts]
        ours = program.run("tokenize", [{"text": text} for text in texts], "--add-special")
        wrong = [f"{text[:40]!r}" for text, a, b in zip(texts, theirs, ours) if a != b["ids"]]
        back = program.run("tokenize", [{"ids": ids} for ids in theirs])
        wrong += [f"{tokenizer.decode(ids)[:40]!r} decoded" for ids, line in zip(theirs, back)
                  if tokenizer.decode(ids, clean_up_tokenization_spaces=False) != line["text"]]
        return len(texts), wrong, "ids, and texts of ids"
    return compute


def conversations():
    user, assistant = {"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": "4"}
    system = {"role": "system", "content": "Be brief."}
    return [([user], True), ([user, assistant], False), ([system, user], True), ([system, user, assistant, user], True)]


def compare_chat(tokenizer, program):
    def compute():
        wrong, count = [], 0
        for messages, answer_next in conversations():
            line = {"messages": messages, "add_generation_prompt": answer_next}
            try:
                theirs = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=answer_next)
            except Exception:  # a template refuses what it does not know (no system turn, ...)
                continue
            count += 1
            ours = program.run("tokenize", [line])[0]["text"]
            if ours != theirs:
                wrong.append(f"{[m['role'] for m in messages]}: {ours[:50]!r}, not {theirs[:50]!r}")
        return count, wrong, "texts"
    return compute


def prompts_of(model, tokenizer, texts):
    """20 prompts of up to 48 ids."""
    import torch
    if tokenizer is not None:
        some = [tokenizer.encode(text, add_special_tokens=True)[:48] for text in texts[:: max(1, len(texts) // PROMPTS)]]
        return [ids for ids in some if ids][:PROMPTS]
    size = model.config.get_text_config().vocab_size
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, size, (4 + 2 * i,), generator=generator).tolist() for i in range(PROMPTS)]


def reference_logits(model, ids, seq2seq):
    import torch
    with torch.no_grad():
        if seq2seq:
            start = model.config.decoder_start_token_id
            return model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([[start]])).logits[0, -1].float()
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].float()


def compare_logits(model, program, prompts, tolerance, seq2seq):
    """By the log-probabilities of the reference's 20 likeliest next tokens, each as a continuation of its own."""
    import torch

    def compute():
        lines, wanted = [], []
        for ids in prompts:
            table = torch.log_softmax(reference_logits(model, ids, seq2seq), -1)
            for token in table.topk(min(TOP, len(table))).indices.tolist():
                lines.append({"prompt_ids": ids, "continuation_ids": [token]})
                wanted.append(float(table[token]))
        ours = [line["logprobs"][0] for line in program.run("score", lines)]
        far = [abs(a - b) for a, b in zip(ours, wanted)]
        wrong = [f"token {line['continuation_ids'][0]} behind {len(line['prompt_ids'])} ids: {a:.5f}, not {b:.5f}"
                 for line, a, b in zip(lines, ours, wanted) if not abs(a - b) <= tolerance]
        return len(lines), wrong, f"largest difference {max(far):.1e} (allowed {tolerance:.0e})"
    return compute


def compare_greedy(model, program, prompts, tolerance, seq2seq):
    """A token that differs counts unless the reference itself has both within the tolerance."""
    def compute():
        import torch
        ours = program.run("generate", [{"prompt_ids": ids, "max_new_tokens": GREEDY, "ignore_eos": True} for ids in prompts])
        wrong, ties = [], 0
        for ids, line in zip(prompts, ours):
            so_far = []
            for step, token in enumerate(line["ids"]):
                with torch.no_grad():
                    if seq2seq:
                        start = [model.config.decoder_start_token_id]
                        logits = model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([start + so_far])).logits
                    else:
                        logits = model(input_ids=torch.tensor([ids + so_far]), use_cache=False).logits
                table = torch.log_softmax(logits[0, -1].float(), -1)
                best = int(table.argmax())
                if token != best and float(table[best] - table[token]) > 2 * tolerance:
                    wrong.append(f"behind {len(ids)} ids, step {step}: {token}, not {best}")
                    break
                ties += token != best
                so_far.append(token)
        return sum(len(line["ids"]) for line in ours), wrong, f"tokens; {ties} of them ties within {2 * tolerance:.0e}"
    return compute


def compare_sentences(model_path, program, texts, tolerance):
    def compute():
        from sentence_transformers import SentenceTransformer
        model = SentenceTransformer(model_path, device="cpu", model_kwargs={"attn_implementation": "eager"})
        named = [name for name, text in model.prompts.items() if text][:1]
        lines = [{"text": text} for text in texts[:40]] + [{"text": text, "prompt_name": name} for name in named for text in
                                                           texts[:5]]
        theirs = [model.encode([line["text"]], prompt_name=line.get("prompt_name"))[0] for line in lines]
        ours = [line["embedding"] for line in program.run("embed", lines)]
        far = [max(abs(a - float(b)) for a, b in zip(x, y)) if len(x) == len(y) else float("inf") for x, y in zip(ours, theirs)]
        scale = [max(1.0, float(abs(y).max())) for y in theirs]
        wrong = [f"{line['text'][:40]!r}: by {d:.1e}" for line, d, s in zip(lines, far, scale) if not d <= tolerance * s]
        return len(lines), wrong, f"largest difference {max(far):.1e} (allowed {tolerance:.0e})"
    return compute


def load_reference(arguments, config):
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model = kind.from_pretrained(arguments.model, dtype=getattr(torch, arguments.dtype), attn_implementation="eager",
                                 config=config)
    if arguments.adapter:
        from peft import PeftModel
        model = PeftModel.from_pretrained(model, arguments.adapter)
    return model.eval()


def compare_model(arguments, program, tokenizer, texts, table):
    from transformers import AutoConfig
    config = AutoConfig.from_pretrained(arguments.model)
    if config.model_type in ("bert", "modernbert"):
        return
    tolerance = TOLERANCE[arguments.dtype][0]
    try:
        model = load_reference(arguments, config)
    except Exception as error:
        table.add("model", "-", "FAILED", f"transformers: {type(error).__name__}: {error}"[:160])
        return
    prompts = prompts_of(model, tokenizer, texts)
    table.compare("logits", compare_logits(model, program, prompts, tolerance, config.is_encoder_decoder))
    table.compare("greedy", compare_greedy(model, program, prompts, tolerance, config.is_encoder_decoder))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="checkpoint folder")
    parser.add_argument("--adapter", help="folder of a LoRA adapter")
    parser.add_argument("--preimage", default=os.environ.get("PREIMAGE", str(ROOT / "build/release/preimage")))
    parser.add_argument("--texts", help="file of texts, one a line, in place of the built-in ones")
    parser.add_argument("--dtype", choices=sorted(TOLERANCE), default="float32")
    return parser.parse_args()


def main():
    arguments = parse()
    import transformers
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    folder, program, table, texts = pathlib.Path(arguments.model), Program(arguments), Table(), read_texts(arguments.texts)
    tokenizer = None
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    except Exception as error:
        if any((folder / name).exists() for name in ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json")):
            table.add("tokens", "-", "FAILED", f"transformers: {type(error).__name__}: {error}"[:160])
    if tokenizer is not None:
        table.compare("tokens", compare_tokens(tokenizer, program, texts))
        if tokenizer.chat_template:
            table.compare("chat", compare_chat(tokenizer, program))
    if (folder / "modules.json").exists():
        table.compare("sentences", compare_sentences(str(folder), program, texts, TOLERANCE[arguments.dtype][1]))
    if (folder / "config.json").exists():
        compare_model(arguments, program, tokenizer, texts, table)
    table.show()
    verdicts = {row[2] for row in table.rows}
    if not table.rows:
        print("nothing to compare: no tokenizer, no modules.json, no model that generates")
        return 2
    print(f"transformers {transformers.__version__}; " +
          ("all agree" if verdicts == {"ok"} else "NOT all agree"))
    return 0 if verdicts == {"ok"} else 1


if __name__ == "__main__":
    sys.exit(main())
