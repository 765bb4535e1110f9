"""Writes tests/text/fixtures/chat_*.json: templates, requests, and the texts that transformers
(apply_chat_template, jinja2) makes of them.

Needs the reference environment (transformers). Run from the repository root; a second run writes the
same bytes. The templates under `published` are written for this repository after the rendered forms of
the published ones.
"""

import json
import datetime
import warnings
from pathlib import Path

from chat_fixture_cases import PUBLISHED, REQUESTS, SEMANTIC
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

OUT = Path("tests/text/fixtures")
SPECIAL = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}


class FixedDate(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2025, 6, 28)


def render(tokenizer, template, request):
    request = dict(request)
    messages = request.pop("messages")
    tools = request.pop("tools", None)
    documents = request.pop("documents", None)
    add = request.pop("add_generation_prompt", False)
    try:
        return {"text": tokenizer.apply_chat_template(
            messages, chat_template=template, tools=tools, documents=documents, add_generation_prompt=add, tokenize=False,
            **request)}
    except Exception as error:  # whatever the template or jinja2 raises
        return {"error": f"{type(error).__name__}: {error}"[:200]}


def main():
    warnings.simplefilter("ignore")
    # strftime_now knows no SOURCE_DATE_EPOCH in transformers: give it the fixed date of the test.
    chat_template_utils.datetime = FixedDate
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), **SPECIAL)
    message = [{"role": "user", "content": "x"}]
    semantic = []
    for case in SEMANTIC:
        template, variables = case if isinstance(case, tuple) else (case, {})
        request = {"messages": message, **variables}
        semantic.append({"template": template, "request": variables, **render(tokenizer, template, request)})
    published = []
    for name, template in PUBLISHED.items():
        for number, request in enumerate(REQUESTS):
            published.append({"name": name, "request": number, **render(tokenizer, template, request)})
    write("chat_semantics.json", {"special_tokens": SPECIAL, "cases": semantic})
    write("chat_published.json", {"special_tokens": SPECIAL, "templates": PUBLISHED, "requests": REQUESTS, "cases": published})
    failed = [c for c in semantic if "error" in c]
    print(len(semantic), "semantic cases,", len(failed), "of them errors;", len(published), "published;",
          sum("error" in c for c in published), "errors")


def write(name, value):
    (OUT / name).write_text(json.dumps(value, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
