#!/usr/bin/env python3
"""Asks an OpenAI-compatible endpoint and keeps every answer, so that nothing is asked twice.

    python3 scripts/lipo/remote_answers.py ape --items jobs/data/lipo/items.jsonl --count 1000 \\
        --url https://HOST/v1 --model NAME --answers data/lipo/answers.jsonl --out data/lipo/ape_instructions.json
    python3 scripts/lipo/remote_answers.py ask --in prompts.jsonl --out answers.jsonl --url https://HOST/v1 --model NAME

`ape` writes the pool of instructions that a lipo job with ape_backend openai or deepinfra reads (lipo.ape_cache_path): the
styles and the words are those of jobs/lipo/ape_styles.json, the examples come from the items' split "examples". `ask` answers lines of {"id", "prompt",
"temperature"?, "max_tokens"?}; paraphrases of a dcm job are asked for so. The key is read from the environment variable that --key-variable names. Answers are
appended to a JSON Lines file keyed by the hash of model, prompt, sampling and number; a second run asks only what is missing.
"""

import argparse
import hashlib
import http.client
import json
import os
import random
import re
import time
import urllib.error
import urllib.request
from pathlib import Path

STYLES = Path(__file__).resolve().parents[2] / "jobs/lipo/ape_styles.json"
TRIES, WAIT_S = 5, 2.0
RETRIED = (408, 429, 500, 502, 503, 504)


class Endpoint:
    """Chat completions of one model, each asked once."""

    def __init__(self, url, model, key_variable, answers, timeout_s=120):
        self.url, self.model, self.timeout_s = url.rstrip("/") + "/chat/completions", model, timeout_s
        self.key = os.environ.get(key_variable, "")
        self.path = Path(answers)
        self.known = {}
        if self.path.exists():
            text = self.path.read_text(encoding="utf-8")
            whole = text[: text.rfind("\n") + 1]  # a stop may have left half a line: it is asked again
            if whole != text:
                self.path.write_text(whole, encoding="utf-8")
            for line in whole.splitlines():
                entry = json.loads(line)
                self.known[entry["key"]] = entry["answer"]
        self.asked = 0

    def answer(self, prompt, number=0, **sampling):
        """`number` tells equal questions apart whose answers are to be drawn anew."""
        identity = json.dumps([self.model, prompt, sampling, number], sort_keys=True, ensure_ascii=False)
        key = hashlib.sha256(identity.encode("utf-8")).hexdigest()[:32]
        if key not in self.known:
            self.known[key] = self.request(prompt, sampling)
            self.asked += 1
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "model": self.model, "prompt": prompt, "answer": self.known[key]}, ensure_ascii=False) + "\n")
        return self.known[key]

    def request(self, prompt, sampling):
        body = json.dumps({"model": self.model, "messages": [{"role": "user", "content": prompt}], **sampling}).encode("utf-8")
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = "Bearer " + self.key
        for attempt in range(TRIES):
            try:
                with urllib.request.urlopen(urllib.request.Request(self.url, body, headers), timeout=self.timeout_s) as response:
                    return content_of(response.read(), self.url)
            except urllib.error.HTTPError as error:
                if error.code not in RETRIED or attempt + 1 == TRIES:
                    raise SystemExit(f"{self.url}: {error.code} {error.reason}: {error.read()[:500].decode('utf-8', 'replace')}") from error
            except (OSError, http.client.HTTPException) as error:  # no connection, or one that broke off
                if attempt + 1 == TRIES:
                    raise SystemExit(f"{self.url}: {getattr(error, 'reason', error)}") from error
            time.sleep(WAIT_S * 2**attempt)


def content_of(body, url):
    try:
        return json.loads(body)["choices"][0]["message"]["content"] or ""
    except (ValueError, LookupError, TypeError) as error:
        raise SystemExit(f"{url}: expected choices[0].message.content, found {body[:300].decode('utf-8', 'replace')}") from error


def cleaned(text, longest):
    """As clean_instruction() of experiments/lipo/task/instructions.cpp does it."""
    text = text.strip().split("\n")[0].strip()
    for _ in range(2):
        if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`":
            text = text[1:-1].strip()
        text = re.sub(r"^(?:(?:instruction|prompt|output)[ \d]*:|\d+[.)] |[-*] )", "", text, flags=re.IGNORECASE).strip()
    return text if 1 <= len(text) <= longest else None


def examples_of(path):
    rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [r for r in rows if r.get("split", "examples") == "examples"]


def write_pool(arguments, endpoint):
    words = json.loads(STYLES.read_text(encoding="utf-8"))
    items, rng = examples_of(arguments.items), random.Random(arguments.seed)
    quota = -(-arguments.count // len(words["styles"]))
    seen, out, calls = set(), [], 0
    for style in words["styles"]:
        found = 0
        for number in range(arguments.max_batches * 10):
            if found == quota or len(out) == arguments.count:
                break
            shown = [words["example"].format(question=i["question"], answer=i["answer"].split("####")[-1].strip()) for i in rng.sample(items, 3)]
            prompt = words["prompt"].format(examples="\n\n".join(shown), description=style["description"], style_examples="; ".join(style["examples"]))
            text = cleaned(endpoint.answer(prompt, number, temperature=style["temperature"], max_tokens=100), 500)
            calls += 1
            if text is None or " ".join(text.lower().split()) in seen:
                continue
            seen.add(" ".join(text.lower().split()))
            out.append({"id": len(out), "style": style["name"], "text": text})
            found += 1
    Path(arguments.out).parent.mkdir(parents=True, exist_ok=True)
    Path(arguments.out).write_text(json.dumps({"calls": calls, "instructions": out}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(out)} instructions of {calls} calls, {endpoint.asked} asked now")


def answer_lines(arguments, endpoint):
    rows = [json.loads(line) for line in Path(arguments.input).read_text(encoding="utf-8").splitlines()]
    with Path(arguments.out).open("w", encoding="utf-8") as file:
        for number, row in enumerate(rows):
            text = endpoint.answer(row["prompt"], row.get("id", number), temperature=row.get("temperature", 0), max_tokens=row.get("max_tokens", 512))
            file.write(json.dumps({**row, "text": text}, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    sub = parser.add_subparsers(dest="what", required=True)
    ape, ask = sub.add_parser("ape"), sub.add_parser("ask")
    for one in (ape, ask):
        one.add_argument("--url", required=True)
        one.add_argument("--model", required=True)
        one.add_argument("--key-variable", default="OPENAI_API_KEY")
        one.add_argument("--answers", default="answers.jsonl")
        one.add_argument("--out", required=True)
    ape.add_argument("--items", required=True)
    ape.add_argument("--count", type=int, default=1000)
    ape.add_argument("--max-batches", type=int, default=62)
    ape.add_argument("--seed", type=int, default=0)
    ask.add_argument("--in", dest="input", required=True)
    arguments = parser.parse_args()
    endpoint = Endpoint(arguments.url, arguments.model, arguments.key_variable, arguments.answers)
    (write_pool if arguments.what == "ape" else answer_lines)(arguments, endpoint)


if __name__ == "__main__":
    main()
