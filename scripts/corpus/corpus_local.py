"""Documents of the corpus that come from the local data sets (SQuAD, GSM8K, MBPP) and from generated arithmetic.

Each function yields (origin, text): documents of one origin land on the same side of the train/valid split, so that a
paragraph seen in one rendering is not validated in another. A part of each set is also rendered as a conversation with
the model's own markers; a tokenizer that knows them as special tokens encodes each marker as one id.
"""

import json
import random
import re
import zlib

from check_corpus import MBPP_RESERVED
from make_samples import HELD_OUT_ARTICLES, SEED, arithmetic_pairs, gsm8k_sample_indices, read_jsonl

SYSTEM = "You are a helpful assistant."


def chat(user, assistant):
    return (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n"
        f"<|im_start|>assistant\n{assistant}<|im_end|>\n"
    )


def chance(text, share):
    """True for about `share` of all texts, the same ones in each build."""
    return zlib.crc32(text.encode()) % 1000 < 1000 * share


def qa(question, answer):
    return f"Question: {question}\nAnswer: {answer}"


def squad(data):
    with open(data / "squad" / "dev-v2.0.json", encoding="utf-8") as stream:
        articles = [a for a in json.load(stream)["data"] if a["title"] not in HELD_OUT_ARTICLES]
    for article in articles:
        title = article["title"].replace("_", " ")
        for number, paragraph in enumerate(article["paragraphs"]):
            origin = f"{article['title']}/{number}"
            context = paragraph["context"].strip()
            pairs = []
            for question in paragraph["qas"]:
                if question["answers"]:
                    texts = [a["text"] for a in question["answers"]]
                    pairs.append((question["question"].strip(), max(texts, key=lambda t: (texts.count(t), -len(t)))))
            yield origin, f"{title}\n\n{context}"
            if not pairs:
                continue
            yield origin, context + "\n\n" + "\n\n".join(qa(*p) for p in pairs)
            yield origin, f"{title}\n\n" + "\n\n".join(qa(*p) for p in pairs)
            for pair in pairs:
                if chance(pair[0], 0.7):
                    yield origin, f"{context}\n{qa(*pair)}\n"
                if chance(pair[0] + "alone", 0.5):
                    yield origin, qa(*pair) + "\n"
                if chance(pair[0] + "reverse", 0.25):
                    yield origin, f"{context}\nAnswer: {pair[1]}\nQuestion: {pair[0]}\n"
                if chance(pair[0] + "chat", 0.4):
                    yield origin, chat(f"{context}\n\n{pair[0]}", pair[1])
                if chance(pair[0] + "chat alone", 0.2):
                    yield origin, chat(pair[0], pair[1])


def gsm8k(data):
    rows = read_jsonl(data / "gsm8k" / "train.jsonl")
    shipped = set(gsm8k_sample_indices(rows))
    for number, row in enumerate(rows):
        if number in shipped:
            continue
        origin, question, answer = f"gsm8k/{number}", row["question"].strip(), row["answer"].strip()
        plain = re.sub(r"<<[^>]*>>", "", answer)
        yield origin, qa(question, plain) + "\n"
        if chance(question, 0.25):
            yield origin, qa(question, answer) + "\n"
        if chance(question + "chat", 0.25):
            yield origin, chat(question, plain)
        if chance(question + "final", 0.25):
            yield origin, qa(question, plain.rpartition("#### ")[2]) + "\n"


def mbpp(data):
    for row in read_jsonl(data / "mbpp" / "mbpp.jsonl"):
        if row["task_id"] in MBPP_RESERVED:
            continue
        origin, task = f"mbpp/{row['task_id']}", row["text"].strip()
        code = row["code"].replace("\r\n", "\n").expandtabs(4).strip()
        tests = "\n".join(row["test_list"])
        setup = row["test_setup_code"].replace("\r\n", "\n").strip()
        asked = f"You are an expert Python programmer, and here is your task: {task} Your code should pass these tests:\n\n{tests}\n"
        yield origin, f"{asked}[BEGIN]\n{code}\n[DONE]\n"
        yield origin, f"# {task}\n{setup + chr(10) if setup else ''}{code}\n\n{tests}\n"
        yield origin, f'"""\n{task}\n{row["test_list"][0]}\n"""\n{code}\n'
        yield origin, chat(f"{task}\n{tests}", f"```python\n{code}\n```")


WORDS = {"+": ("plus", "the sum of {a} and {b}"), "-": ("minus", "the difference of {a} and {b}"), "*": ("times", "the product of {a} and {b}")}


def arithmetic(documents=6000, lines=24):
    """Lines of sums, differences, products; most with numbers below 100. None of the shipped pairs occurs."""
    source = random.Random(SEED + 1)
    shipped = {p["question"] for p in arithmetic_pairs()}

    def triple():
        while True:
            top = 100 if source.random() < 0.85 else 1000
            op = source.choice("+-*")
            a, b = source.randrange(top), source.randrange(100 if op == "*" else top)
            if f"{a} {op} {b}" not in shipped:
                return a, b, op, {"+": a + b, "-": a - b, "*": a * b}[op]

    def equation():
        a, b, op, result = triple()
        return f"{a} {op} {b} = {result}"

    def pair():
        a, b, op, result = triple()
        return qa(f"{a} {op} {b}", result)

    def worded():
        a, b, op, result = triple()
        phrase = source.choice((f"{a} {WORDS[op][0]} {b}", WORDS[op][1].format(a=a, b=b), f"{a} {op} {b}"))
        return qa(f"What is {phrase}?", result)

    def two_steps():
        a, b, c = (source.randrange(50) for _ in range(3))
        return f"{a} + {b} + {c} = {a + b} + {c} = {a + b + c}"

    for number in range(documents):
        style = source.choices((equation, pair, worded, two_steps), (4, 4, 2, 1))[0]
        count = lines if style in (equation, two_steps) else lines // 2
        yield f"arithmetic/{number}", "\n".join(style() for _ in range(count)) + "\n"
    for number in range(documents):
        a, b, op, result = triple()
        question = source.choice((f"{a} {op} {b}", f"What is {a} {op} {b}?", f"What is {a} {WORDS[op][0]} {b}?"))
        yield f"arithmetic chat/{number}", chat(question, result)


LOCAL = (  # name, function of the data directory, licence, kind
    ("SQuAD 2.0 (dev, without the held-out articles)", squad, "CC-BY-SA-4.0", "questions"),
    ("GSM8K (train, without the shipped sample)", gsm8k, "MIT", "questions"),
    ("MBPP (task_id 601-974)", mbpp, "CC-BY-4.0", "code"),
    ("generated arithmetic (without the shipped sample)", lambda data: arithmetic(), "generated", "questions"),
)
