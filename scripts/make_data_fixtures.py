"""Writes tests/data/fixtures: small files in the published formats of the data sets, and expected.json
with the examples that a reader must give. All records are invented. Run from the repository root."""

import json
from pathlib import Path

OUT = Path("tests/data/fixtures")


def write(name, text):
    path = OUT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8"))


def as_json(value, **options):
    return json.dumps(value, ensure_ascii=False, **options)


def squad():
    context = "🦊 Foxes — über 12 species — live on six continents. Ælfric saw two."
    other = "A lake lies north of the town."

    def answer(text, context=context):
        return {"text": text, "answer_start": context.index(text)}  # Python indexes code points

    write("squad.json", as_json({"version": "v2.0", "data": [
        {"title": "Fox", "paragraphs": [{"context": context, "qas": [
            {"id": "f1", "question": "How many continents?", "is_impossible": False,
             "answers": [answer("six continents"), answer("six"), answer("six continents")]},
            {"id": "f2", "question": "Who lied?", "is_impossible": True, "answers": [],
             "plausible_answers": [answer("Ælfric")]},
            {"id": "f3", "question": "Who saw two?", "is_impossible": False, "answers": [answer("Ælfric")]}]}]},
        {"title": "Lake", "paragraphs": [{"context": other, "qas": [
            {"id": "l1", "question": "Where is the lake?", "answers": [answer("north of the town", other)]}]}]}]}))
    return [
        {"id": "f1", "group": "Fox", "question": "How many continents?", "answer": "six continents", "context": context,
         "aliases": ["six"]},
        {"id": "f3", "group": "Fox", "question": "Who saw two?", "answer": "Ælfric", "context": context},
        {"id": "l1", "group": "Lake", "question": "Where is the lake?", "answer": "north of the town", "context": other}]


def triviaqa():
    def datum(i, question, value, aliases, **more):
        return {"Answer": {"Aliases": aliases, "MatchedWikiEntityName": more.pop("entity", ""), "NormalizedAliases": [],
                           "NormalizedMatchedWikiEntityName": "", "NormalizedValue": value.lower(), "Type": "WikipediaEntity",
                           "Value": value},
                "EntityPages": more.pop("pages", []), "Question": question, "QuestionId": f"tc_{i}",
                "QuestionSource": "http://example.org/", "SearchResults": []}

    write("triviaqa.json", as_json({"Data": [
        datum(1, "Which river runs through the invented town?", "Blue River", ["Blue River", "The Blue", "Río Azul"],
              entity="Blue River"),
        datum(2, "Who wrote the missing book?", "Ada Quill", ["A. Quill"],
              pages=[{"DocSource": "TagMe", "Filename": "Quill.txt", "Title": "Quill"}]),
        datum(3, "What is left?", "nothing", ["nothing"])],
        "Domain": "Wikipedia", "Split": "dev", "VerifiedEval": False, "Version": 1.0}, indent=1))
    return [
        {"id": "tc_1", "group": "Blue River", "question": "Which river runs through the invented town?",
         "answer": "Blue River", "aliases": ["The Blue", "Río Azul"]},
        {"id": "tc_2", "group": "Quill", "question": "Who wrote the missing book?", "answer": "Ada Quill", "aliases": ["A. Quill"]},
        {"id": "tc_3", "group": "nothing", "question": "What is left?", "answer": "nothing"}]


def natural_questions():
    tokens = "<H1> Moon Base </H1> <P> The base  opened in <B> May 2031 </B> on the far side . </P>".split(" ")

    def span(a, b):
        return {"start_token": a, "end_token": b}

    def record(i, annotations):
        return {"annotations": annotations, "document_text": " ".join(tokens), "document_url": "https://example.org/moon",
                "example_id": i, "long_answer_candidates": [dict(span(4, len(tokens)), top_level=True)],
                "question_text": "when did the moon base open"}

    def annotation(short, long=(-1, -1), yes_no="NONE"):
        return {"annotation_id": 2 ** 63 + 5, "long_answer": dict(span(*long), candidate_index=0), "short_answers": short,
                "yes_no_answer": yes_no}

    at = tokens.index("<B>")
    big = 9007199254740993  # 2^53 + 1
    records = [record(big, [annotation([]), annotation([span(at, at + 4), span(1, 2)], (4, len(tokens))),
                            annotation([span(at + 2, at + 3)])]),
               record(-7, [annotation([], (4, len(tokens)), "YES")]),
               record(2, [annotation([span(1, 3)])])]
    write("natural_questions.jsonl", "".join(as_json(r) + "\n" for r in records))
    question = "when did the moon base open"
    return [
        {"id": str(big), "group": "https://example.org/moon", "question": question, "answer": "May 2031",
         "context": "The base opened in May 2031 on the far side .", "aliases": ["2031"]},
        {"id": "2", "group": "https://example.org/moon", "question": question, "answer": "Moon Base"}]


def nq_open():
    write("nq_open.jsonl", as_json({"question": "who sang it", "answer": ["Lena Ort", "L. Ort"]}) + "\r\n"
          + as_json({"question": "when was it", "answer": ["1999"]}))  # no final line break
    return [{"id": "who sang it", "question": "who sang it", "answer": "Lena Ort", "aliases": ["L. Ort"]},
            {"id": "when was it", "question": "when was it", "answer": "1999"}]


def hotpotqa():
    context = [["Red Hill", ["Red Hill is a hill.", " It is 300 m high."]], ["Old Mill", ["The mill stands on Red Hill."]]]
    write("hotpotqa.json", as_json([
        {"_id": "5a7a", "answer": "yes", "context": context, "level": "hard", "question": "Is the mill above 200 m?",
         "supporting_facts": [["Old Mill", 0], ["Red Hill", 9]], "type": "bridge"},
        {"_id": "5a7b", "answer": "a hill", "context": context[:1], "level": "easy", "question": "What is Red Hill?",
         "supporting_facts": [], "type": "comparison"}]))
    first = "Red Hill\nRed Hill is a hill. It is 300 m high."
    return [
        {"id": "5a7a", "group": "Old Mill", "question": "Is the mill above 200 m?", "answer": "yes",
         "context": first + "\n\nOld Mill\nThe mill stands on Red Hill."},
        {"id": "5a7b", "question": "What is Red Hill?", "answer": "a hill", "context": first}]


def pairs():
    rows = [{"id": "p1", "question": "Who?", "answer": "Me", "context": "It was me.", "group": "g", "aliases": ["I"],
             "paraphrases": ["Which one?", "Who was it?"]}, {"id": "p2", "question": "Ü?", "answer": "ß"}]
    write("pairs.jsonl", "\ufeff" + "".join(as_json(r) + "\n" for r in rows) + "\n")
    return rows


def solved_sudoku(shift=0):
    return "".join(str((3 * (r % 3) + r // 3 + c + shift) % 9 + 1) for r in range(9) for c in range(9))


def sudoku():
    grids = [solved_sudoku(k) for k in range(3)]
    puzzles = ["".join("0" if (i * 7 + k) % 5 else c for i, c in enumerate(g)) for k, g in enumerate(grids)]
    plain = [{"id": p, "question": p, "answer": g} for p, g in zip(puzzles, grids)]
    write("sudoku_kaggle1.csv", "quizzes,solutions\n" + "".join(f"{p},{g}\n" for p, g in zip(puzzles, grids)))
    write("sudoku_kaggle3.csv", "id,puzzle,solution,clues,difficulty\n" + "".join(
        f"{k},{p.replace('0', '.')},{g},17,0.5\r\n" for k, (p, g) in enumerate(zip(puzzles, grids))))
    write("sudoku_extreme.csv", "source,question,answer,rating\n" + "".join(
        f"\"set, \"\"{k}\"\"\",{p.replace('0', '.')},{g},{k}\n" for k, (p, g) in enumerate(zip(puzzles, grids))))
    return {"sudoku_kaggle1.csv": plain,
            "sudoku_kaggle3.csv": [dict(row, id=str(k)) for k, row in enumerate(plain)],
            "sudoku_extreme.csv": [dict(row, group=f'set, "{k}"') for k, row in enumerate(plain)]}


def arc():
    write("arc/0a1b2c3d.json", as_json({
        "train": [{"input": [[0, 1], [2, 3]], "output": [[9]]}, {"input": [[4]], "output": [[5, 6, 7]]}],
        "test": [{"input": [[1, 2, 3], [4, 5, 6]], "output": [[0], [8]]}, {"output": [[2]], "input": [[1]]}]}))
    context = "01\n23\n\n9\n\n4\n\n567"
    return [{"id": "0a1b2c3d/0", "group": "0a1b2c3d", "question": "123\n456", "answer": "0\n8", "context": context},
            {"id": "0a1b2c3d/1", "group": "0a1b2c3d", "question": "1", "answer": "2", "context": context}]


def corpus():
    rows = [{"text": "Plain 🦊 text.\n"}, {"prompt": "Q: 1+1\nA:", "completion": " 2"}, {"prompt": "", "completion": "x"},
            {"text": "more", "source": "kept out"}]
    write("corpus.jsonl", "".join(as_json(r) + "\n" for r in rows))
    return [{"prompt": r.get("prompt", ""), "text": r.get("text", r.get("completion"))} for r in rows]


def main():
    expected = {"squad:squad.json": squad(), "triviaqa:triviaqa.json": triviaqa(),
                "natural_questions:natural_questions.jsonl": natural_questions(), "nq_open:nq_open.jsonl": nq_open(),
                "hotpotqa:hotpotqa.json": hotpotqa(), "pairs:pairs.jsonl": pairs(), "arc:arc": arc()}
    expected.update({f"sudoku:{name}": rows for name, rows in sudoku().items()})
    write("expected.json", as_json(expected, indent=0) + "\n")
    write("corpus_expected.json", as_json(corpus(), indent=0) + "\n")


if __name__ == "__main__":
    main()
