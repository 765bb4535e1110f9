"""Writes tests/data/fixtures/programs (problem sets in their published formats, with expected.json, what a reader must
give) and tests/text/fixtures/code_blocks.json (what markdown-it-py, a CommonMark parser, finds in answers).

All records are invented. Run from the repository root with a Python that has markdown-it-py.
"""

import json
import subprocess
import sys
from pathlib import Path

PROGRAMS = Path("tests/data/fixtures/programs")
BLOCKS = Path("tests/text/fixtures/code_blocks.json")


def write(name, text):
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    (PROGRAMS / name).write_bytes(text.encode("utf-8"))


def runs(*parts):
    """The fixtures hold problems whose reference passes: parts joined by line ends must run."""
    program = "\n".join(parts)
    if subprocess.run([sys.executable, "-c", program]).returncode:
        sys.exit("does not run:\n" + program)


def unix(text):
    return text.replace("\r\n", "\n")


def expected(row, **fields):
    return {
        "split": "test",
        "group": "",
        "starter": "",
        "setup_before": "",
        "setup_after": "",
        "hidden_tests": [],
        "check_code": "",
        **row,
        **fields,
    }


# ---------------------------------------------------------------------------------------------------------------- MBPP


def mbpp():
    rows = [
        {
            "text": "Write a function to double a number.",
            "code": "def twice(x):\r\n\treturn x + x",
            "task_id": 2,
            "test_setup_code": "",
            "test_list": ["assert twice(2) == 4", "assert twice(0) == 0", "assert twice(-1) == -2"],
            "challenge_test_list": [],
        },
        {
            "text": "Write a function to find the height of a tree.",
            "code": "class Node:\r\n  def __init__(self, left=None):\r\n    self.left = left\r\n"
            "def height(node):\r\n  return 0 if node is None else 1 + height(node.left)",
            "task_id": 510,
            "test_setup_code": "root = Node() \r\nroot.left = Node()",
            "test_list": ["assert (height(root)) == 2", "assert height(None) == 0", "assert height(root.left) == 1"],
            "challenge_test_list": ["assert height(Node(root)) == 3"],
        },
        {
            "text": "Write a python function to add “two” numbers.",
            "code": "def sum(a, b):\r\n  return a + b",
            "task_id": 511,
            "test_setup_code": "",
            "test_list": ["assert int(sum(1, 2)) == 3", "assert sum(0, 0) == 0", "assert sum(5, -5) == 0"],
            "challenge_test_list": [],
            "kind": "sums",
        },
        {
            "text": "Write a function to say yes.",
            "code": "def yes():\r\n  return True",
            "task_id": 974,
            "test_setup_code": "",
            "test_list": ["assert yes()", "assert yes() == True", "assert not yes() is False"],
            "challenge_test_list": [],
        },
    ]
    for row in rows:
        runs(row["code"], row["test_setup_code"], *row["test_list"], *row["challenge_test_list"])
    write("mbpp.jsonl", "\n".join(json.dumps(row) for row in rows))  # no final line break
    splits = {2: "prompt", 510: "test", 511: "validation", 974: "train"}
    names = {2: "twice", 510: "height", 511: "sum", 974: "yes"}
    return [
        expected(
            {"id": str(r["task_id"])},
            split=splits[r["task_id"]],
            text=r["text"],
            reference=unix(r["code"]),
            tests=r["test_list"],
            # The published scoring runs test_list alone; sets of our own (with a kind) run both.
            hidden_tests=r["challenge_test_list"] if r.get("kind") else [],
            setup_after=unix(r["test_setup_code"]),
            entry_point=names[r["task_id"]],
            group=r.get("kind", ""),
        )
        for r in rows
    ]


def mbpp_sanitized():
    rows = [
        {
            "source_file": "Benchmark Questions Verification V2.ipynb",
            "task_id": 3,
            "prompt": "Write a function to find the area of a circle.",
            "code": "import math\ndef area(r):\n  return math.pi * r * r",
            "test_imports": ["import math"],
            "test_list": ["assert math.isclose(area(1), 3.14159, rel_tol=0.001)", "assert area(0) == 0"],
        },
        {
            "source_file": "charlessutton@: Benchmark Questions Verification V2.ipynb",
            "task_id": 600,
            "prompt": "Write a function to check parity.",
            "code": "def is_even(n):\n  return n % 2 == 0",
            "test_imports": [],
            "test_list": ["assert is_even(4) == True", "assert not is_even(1)"],
        },
        {
            "source_file": "",
            "task_id": 601,
            "prompt": "Write a function to find the union of two lists.",
            "code": "def union(a, b):\n  return tuple(set(a) | set(b))",
            "test_imports": [],
            "test_list": ["assert set(union([1], [2])) == set([1, 2])"],
        },
    ]
    for row in rows:
        runs(*row["test_imports"], row["code"], *row["test_list"])
    write("mbpp_sanitized.json", json.dumps(rows, indent=2))
    splits, names = {3: "prompt", 600: "validation", 601: "train"}, {3: "area", 600: "is_even", 601: "union"}
    return [
        expected(
            {"id": str(r["task_id"])},
            split=splits[r["task_id"]],
            text=r["prompt"],
            reference=r["code"],
            tests=r["test_list"],
            setup_before="\n".join(r["test_imports"]),
            entry_point=names[r["task_id"]],
            group=r["source_file"],
        )
        for r in rows
    ]


# ----------------------------------------------------------------------------------------------- HumanEval and LeetCode


def humaneval():
    rows = [
        {
            "task_id": "HumanEval/0",
            "prompt": 'from typing import List\n\n\ndef first(xs: List[int]) -> int:\n    """ The first of xs.\n    >>> first([3, 4])\n    3\n    """\n',
            "entry_point": "first",
            "canonical_solution": "    return xs[0]\n",
            "test": "\n\nMETADATA = {'author': 'x'}\n\n\ndef check(candidate):\n    assert candidate([3, 4]) == 3\n",
        },
        {
            "task_id": "HumanEval/163",
            "prompt": "\ndef helper(x):\n    return x + 1\n\ndef next_one(x):\n    '''The number after x.'''\n",
            "entry_point": "next_one",
            "canonical_solution": "    return helper(x)\n",
            "test": "def check(candidate):\n    assert candidate(1) == 2\n",
        },
    ]
    for row in rows:
        runs(row["prompt"] + row["canonical_solution"], row["test"], f"check({row['entry_point']})")
    write("humaneval.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return [
        expected(
            {"id": r["task_id"]},
            text=r["prompt"],
            starter=r["prompt"],
            entry_point=r["entry_point"],
            reference=r["prompt"] + r["canonical_solution"],
            check_code=r["test"],
            tests=[],
        )
        for r in rows
    ]


def leetcode():
    starter = "class Solution:\n    def pairSum(self, nums: List[int]) -> int:\n"
    solution = "class Solution:\n    def pairSum(self, nums: List[int]) -> int:\n        return sum(nums[:2])\n"
    tests = [f"assert Solution().pairSum(nums = {[i, 2 * i]}) == {3 * i}" for i in range(5)]
    setup = "from typing import *\nimport collections\n"
    question = "PROBLEM:\nAdd the first two numbers.\n\nYour solution to the problem should be a method of the class Solution called pairSum and should pass all tests."
    row = {
        "id": 3243,
        "dataset": "leetcode",
        "evaluator": "code",
        "difficulty": "medium",
        "question": question,
        "prompt": [{"role": "system", "content": "You write Python."}, {"role": "user", "content": question}],
        "gt_answer": tests,
        "answer": tests,
        "hint": None,
        "func_name": "Solution().pairSum",
        "setup_code": setup,
        "canonical_solution": solution,
        "prompt_metadata": {"starter_code": starter},
        "completion_gt_pass": True,
    }
    runs(setup, solution, *tests)
    write("leetcode.jsonl", json.dumps(row) + "\n")
    return [
        expected(
            {"id": "3243"},
            split="train",
            group="medium",
            text=question,
            starter=starter,
            entry_point="Solution().pairSum",
            setup_before=setup,
            reference=solution,
            tests=tests[:3],
            hidden_tests=tests[3:],
        )
    ]


# --------------------------------------------------------------------------------------------------------- code blocks

ANSWERS = (
    "Here it is:\n\n```python\ndef f(x):\n    return x\n```\n\nIt works.\n",
    "def f(x):\n    return x\n",
    "```\na = 1\n```\n\ntext\n\n```py\nb = 2\n```\n",
    "```python\ndef f():\n    return '''\n    ``\n    '''\n",
    "````python\n```\ninner\n```\n````\nafter\n",
    "~~~ruby\nx ``` y\n~~~\n",
    "  ```python\n  def f():\n      return 1\n  ```\n",
    "   ```python\n a\n   b\n    c\n   ```   \nend",
    '```python title="x"\nx = 1\n```\n',
    "```code```\nnot a block\n",
    "text\n```python\nx = 1\n``` no closing\ny = 2\n```\n",
    "``\nno\n``\n",
    "```python\n\n\nx\n\n```",
    "```python\r\nx = 1\r\n```\r\n",
    "```\n",
    "",
    "Grüße ```inline``` \n\n```python\ns = 'ä'\n```\n",
    "~~~\n```python\nx\n```\n~~~\n",
    "```python\nx = 1\n~~~\n```\n",
    "Sure!\n```Python3\nprint(1)\n``````\nx",
)


def code_blocks():
    from markdown_it import MarkdownIt

    out = []
    for answer in ANSWERS:
        # The parser turns "\r\n" into "\n"; we keep what the model wrote.
        fences = [token for token in MarkdownIt().parse(answer) if token.type == "fence"]
        out.append(
            {
                "answer": answer,
                "blocks": [{"label": t.info.split()[0] if t.info.split() else "", "code": t.content} for t in fences],
            }
        )
    BLOCKS.write_text(json.dumps(out, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def main():
    sets = {
        "mbpp:mbpp.jsonl": mbpp(),
        "mbpp_sanitized:mbpp_sanitized.json": mbpp_sanitized(),
        "humaneval:humaneval.jsonl": humaneval(),
        "leetcode:leetcode.jsonl": leetcode(),
    }
    write("expected.json", json.dumps(sets, ensure_ascii=False, indent=0) + "\n")
    code_blocks()


if __name__ == "__main__":
    main()
