"""Kinds of small functions, put together from function_parts.py: what each says, does, and how it can be written.

A kind is a choice of parts without their constants, such as pipeline:list:even:square:sum. An Instance adds constants
and names; it gives the task in words, the value for given arguments, and programs in several styles.
"""

import copy
import re
from dataclasses import dataclass

from function_parts import FILTERS, MAPS, REDUCERS, SOURCES

VARIABLES = {
    "int": ("x", "num", "v", "i", "number", "value", "e"),
    "char": ("c", "ch", "char", "letter"),
    "word": ("w", "word", "item", "part"),
    "pair": (("x", "y"), ("p", "q"), ("left", "right"), ("u", "v")),
}
RESULTS = ("result", "res", "out", "acc", "total")
KEYS = {
    "rest",
    "last_digit",
    "digit_count",
    "digit_sum",
    "half",
    "quotient",
    "length",
    "first_letter",
    "last_letter",
    "vowel_count",
    "to_lower",
    "head",
}
QUANTIFIERS = ("all", "any", "none")
SINGULAR = {
    "are": "is",
    "have": "has",
    "do": "does",
    "exceed": "exceeds",
    "lie": "lies",
    "end": "ends",
    "contain": "contains",
    "differ": "differs",
    "come": "comes",
    "start": "starts",
    "begin": "begins",
    "lack": "lacks",
    "read": "reads",
    "add": "adds",
}


# Words. {X} is a phrase such as "the even numbers in a list", {t} what is to be done.
OPENERS = (
    "Write a function to {v} {t}.",
    "Write a python function to {v} {t}.",
    "Write a function that {vs} {t}.",
    "{V} {t}.",
)
TASK_OPENERS = ("Write a function to {t}.", "Write a python function to {t}.", "{T}.")
DICTIONARIES = {
    "mapping": ("a dictionary from each of {X} to {its}", "a dict that maps each of {X} to {its}"),
    "counts": (
        "a dictionary with the number of occurrences of each of {X}",
        "a dict that counts how often each occurs among {X}",
    ),
    "groups": (
        "a dictionary of lists that groups {X} by {its}",
        "{X} grouped in a dict of lists by {its}",
    ),
}
POSITIONS = {
    "list": "a list of the indices of {X}",
    "first": "the index of the first of {X}, or -1 if there are none",
    "last": "the index of the last of {X}, or -1 if there are none",
}
BRANCH_ENDS = {
    "list": "return the list",
    "sum": "return the sum of the results",
    "join": "return the new string",
    "separated": "return them joined by '{s}'",
}
# For names of functions, where the reducer has none.
VERBS = {
    "mapping": ("map", "build_dict"),
    "counts": ("count", "frequency"),
    "groups": ("group", "group_by"),
    "positions": ("index", "positions"),
    "branch": ("replace", "transform"),
}


@dataclass(frozen=True)
class Kind:
    shape: str  # pipeline, branch, quantifier, mapping, counts, groups, positions
    source: object
    filter: object = None
    map: object = None
    reducer: object = None  # for quantifier: one of QUANTIFIERS
    other: object = None  # branch: the map of the elements that the filter does not take

    @property
    def key(self):
        parts = (self.source, self.filter, self.map, self.other, self.reducer)
        return ":".join([self.shape] + [p if isinstance(p, str) else p.key if p else "-" for p in parts])

    @property
    def parts(self):
        """Number of parts that do something: the difficulty of a kind."""
        return sum(p is not None for p in (self.filter, self.map, self.reducer, self.other))


def pipelines(source, filters, maps):
    for filter in [None, *filters]:
        for map in [None, *maps]:
            result = map.result if map else source.type
            for reducer in REDUCERS:
                fits = result in reducer.types and (reducer.mapped or map is None)
                if fits and (filter or map or reducer.key != "list"):
                    yield Kind("pipeline", source, filter, map, reducer)


def questions(source, filters):
    for filter in filters:
        yield from (Kind("quantifier", source, filter, reducer=quantifier) for quantifier in QUANTIFIERS)
        if source.listed:
            listing = (r for r in REDUCERS if r.key in ("list", "first", "last"))
            yield from (Kind("positions", source, filter, reducer=reducer) for reducer in listing)


def dictionaries(source, filters, maps):
    if source.type == "pair":
        return
    keys = [m for m in maps if m.key in KEYS]
    for filter in [None, *filters]:
        yield from (Kind("mapping", source, filter, map) for map in maps)
        yield from (Kind("counts", source, filter, map) for map in [None, *keys])
        yield from (Kind("groups", source, filter, map) for map in keys)


def branches(source, filters, maps):
    endings = {"int": ("list", "sum"), "char": ("join",), "word": ("list", "separated"), "pair": ()}[source.type]
    same = [m for m in maps if m.result == source.type]
    for filter in filters:
        for map in same:
            for other in [None, *same]:
                if map is not other:
                    wanted = (r for r in REDUCERS if r.key in endings)
                    yield from (Kind("branch", source, filter, map, reducer, other) for reducer in wanted)


def all_kinds():
    """Every combination that type-checks and says something, in a fixed order."""
    out = []
    for source in SOURCES:
        filters = [f for f in FILTERS if f.type == source.type]
        maps = [m for m in MAPS if m.type == source.type]
        out += pipelines(source, filters, maps)
        out += questions(source, filters)
        out += dictionaries(source, filters, maps)
        out += branches(source, filters, maps)
    return out


class Instance:
    """A kind with its constants and names, drawn from `random`."""

    def __init__(self, kind, random):
        self.kind, self.random = kind, random
        source = kind.source
        self.args = random.choice(source.args)
        self.constants = {
            part: part.draw(random)
            for part in (source, kind.filter, kind.map, kind.other, kind.reducer)
            if hasattr(part, "draw")
        }
        # Two maps of one kind seldom with the same constant.
        if kind.map and kind.other and "k" in self.constants[kind.map]:
            self.constants[kind.map]["k"] += 1
        variables = [v for v in VARIABLES[source.type] if not set(self.names_in(v)) & set(self.args)]
        self.variable = random.choice(variables)
        self.accumulator = random.choice([r for r in RESULTS if r not in self.args])
        self.name = self.function_name()
        self.value = self.compile_value()

    def variant(self, kind):
        """The same constants and names with another kind, whose parts this one has; for comparison."""
        out = copy.copy(self)
        out.kind = kind
        out.value = out.compile_value()
        return out

    # ------------------------------------------------------------------------------------------------ fragments

    @staticmethod
    def names_in(variable):
        return (variable,) if isinstance(variable, str) else variable

    def variables(self):
        names = self.names_in(self.variable)
        return {"x": names[0], "y": names[-1]}

    def arguments(self):
        return {"a": self.args[0], "b": self.args[-1]}

    def clauses(self):
        """(variable, iterable) of each nested loop."""
        fields = {**self.arguments(), **self.constants[self.kind.source]}
        return [
            (v.format(**self.variables()), i.format(**fields, **self.variables())) for v, i in self.kind.source.clauses
        ]

    def form(self, part, first=False, **variables):
        """One way to write a filter or a map; `first`: its definition."""
        forms = part.forms
        text = forms[0] if first or len(forms) == 1 or self.random.random() < 0.5 else self.random.choice(forms[1:])
        return text.format(**(variables or self.variables()), **self.constants[part])

    def condition(self, first=False, **variables):
        return self.form(self.kind.filter, first, **variables) if self.kind.filter else None

    def element(self, first=False, **variables):
        if self.kind.map:
            return self.form(self.kind.map, first, **variables)
        names = variables or self.variables()
        return names["x"] if self.kind.source.type != "pair" else f"({names['x']}, {names['y']})"

    def otherwise(self, first=False):
        return self.form(self.kind.other, first) if self.kind.other else self.variables()["x"]

    def branch(self, first=False):
        return f"{self.element(first)} if {self.condition(first)} else {self.otherwise(first)}"

    def generator(self, element, condition, clauses=None):
        loops = " ".join(f"for {v} in {i}" for v, i in clauses or self.clauses())
        return f"{element} {loops}" + (f" if {condition}" if condition else "")

    # ---------------------------------------------------------------------------------------------- definition

    def definition(self):
        """(expression over the arguments that lists what the result is made of, function of that list)."""
        kind, x = self.kind, self.variables()["x"]
        reducer, constants = kind.reducer, self.constants.get(kind.reducer, {})
        if kind.shape == "branch":
            return f"[{self.generator(self.branch(True), None)}]", lambda v: reducer.value(v, **constants)
        if kind.shape == "quantifier":
            done = {"all": all, "any": any, "none": lambda v: not any(v)}[reducer]
            return f"[{self.generator(f'bool({self.condition(True)})', None)}]", done
        if kind.shape == "positions":
            listed = f"[_i for _i, {x} in enumerate({self.args[0]}) if {self.condition(True)}]"
            ends = {"list": list, "first": lambda v: v[0] if v else -1, "last": lambda v: v[-1] if v else -1}
            return listed, ends[reducer.key]
        if kind.shape in ("mapping", "counts", "groups"):
            pairs = f"[{self.generator(f'({x}, {self.element(True)})', self.condition(True))}]"
            return pairs, {"mapping": dict, "counts": count_second, "groups": group_by_second}[kind.shape]
        return f"[{self.generator(self.element(True), self.condition(True))}]", lambda v: reducer.value(v, **constants)

    def compile_value(self):
        listed, finish = self.definition()
        inner = eval(f"lambda {', '.join(self.args)}: {listed}")
        return lambda *args: finish(inner(*args))

    def compile_condition(self):
        """The filter as a function of an element (of two for pairs), or None."""
        if not self.kind.filter:
            return None
        names = self.names_in(self.variable)
        return eval(f"lambda {', '.join(names)}: bool({self.condition(True)})")

    # ----------------------------------------------------------------------------------------------------- words

    def words(self, template, part, **more):
        constants = {
            key: repr(v) if v is None or isinstance(v, bool) else v for key, v in self.constants.get(part, {}).items()
        }
        return template.format(**{**constants, **more})

    def noun_phrase(self, place=None, filtered=True):
        """the even numbers in a list"""
        source, filter, choice = self.kind.source, self.kind.filter, self.random.choice
        place = self.words(place or choice(source.places), source, **self.arguments())
        noun = choice(source.nouns)
        if not (filter and filtered):
            return f"the {noun} {place}"
        if filter.nouns and self.random.random() < 0.6:
            return f"the {self.words(choice(filter.nouns), filter)} {place}"
        if filter.adjectives and self.random.random() < 0.6:
            return f"the {choice(filter.adjectives)} {noun} {place}"
        return f"the {noun} {place} that {self.predicate()}"

    def predicate(self, singular=False):
        text = self.words(self.random.choice(self.kind.filter.predicates), self.kind.filter)
        if not singular:
            return text
        verb, _, rest = text.partition(" ")
        return f"{SINGULAR[verb]} {rest}".replace("are both", "is both")

    def mapped(self, phrase):
        return self.words(self.random.choice(self.kind.map.of), self.kind.map, X=phrase) if self.kind.map else phrase

    def its(self, map):
        return self.words(map.its, map) if map else "itself"

    def question(self, place):
        """whether all of the numbers in a list are even"""
        bare = self.noun_phrase(place, filtered=False)
        questions = {
            "all": f"whether all of {bare} {self.predicate()}",
            "any": f"whether at least one of {bare} {self.predicate(True)}",
            "none": f"whether none of {bare} {self.predicate(True)}",
        }
        return questions[self.kind.reducer]

    def result_phrase(self, place=None):
        """the sum of the squares of the even numbers in a list"""
        kind, phrase = self.kind, self.noun_phrase(place)
        if kind.shape == "quantifier":
            return self.question(place)
        if kind.shape == "positions":
            return POSITIONS[kind.reducer.key].format(X=phrase)
        template = self.random.choice(DICTIONARIES.get(kind.shape) or kind.reducer.of)
        if kind.shape == "mapping":
            return template.format(X=phrase, its=self.its(kind.map))
        if kind.shape == "groups":
            return template.format(X=phrase, its=self.its(kind.map).replace("its ", "the ", 1))
        phrase = self.mapped(phrase)
        if re.search(r"(number of|distinct) \{X\}", template) and phrase.startswith("the "):
            phrase = phrase[4:]
        return self.words(template, kind.reducer, X=phrase)

    def branch_text(self):
        kind = self.kind
        phrase = self.noun_phrase(filtered=False)
        other = f"every other by {self.its(kind.other)}" if kind.other else "leave the others unchanged"
        done = self.words(BRANCH_ENDS[kind.reducer.key], kind.reducer)
        return f"replace each of {phrase} that {self.predicate(True)} by {self.its(kind.map)} and {other}, and {done}"

    def steps_text(self):
        kind = self.kind
        steps = [f"take {self.noun_phrase(filtered=False)}"]
        if kind.filter:
            kept = self.random.choice(("keep only those that {p}", "keep the ones that {p}"))
            steps.append(kept.format(p=self.predicate()))
        if kind.map:
            steps.append(self.words(kind.map.step, kind.map))
        return ", ".join(steps) + " and " + self.words(kind.reducer.step, kind.reducer)

    def text(self):
        """The task in one line."""
        choice, kind = self.random.choice, self.kind
        style = self.random.random()
        if kind.shape == "branch" or (kind.shape == "pipeline" and style < 0.2):
            task = self.branch_text() if kind.shape == "branch" else self.steps_text()
            return choice(TASK_OPENERS).format(t=task, T=task[0].upper() + task[1:])
        check = kind.shape == "quantifier"
        verb = "check" if check else choice(("find", "return", "compute", "get"))
        if style < 0.4:
            given = self.words(kind.source.given, kind.source, **self.arguments())
            return f"Given {given}, {verb} {self.result_phrase(kind.source.it)}."
        return choice(OPENERS).format(v=verb, vs=verb + "s", V=verb.capitalize(), t=self.result_phrase())

    def function_name(self):
        kind, choice = self.kind, self.random.choice
        noun = choice(kind.source.nouns)
        if kind.shape == "quantifier":
            return choice((f"{kind.reducer}_{kind.filter.key}", f"check_{noun}", f"{kind.reducer}_{noun}"))
        verb = choice(VERBS.get(kind.shape) or kind.reducer.verbs)
        named = [f"{verb}_{noun}", f"{noun}_{verb}", "solve"]
        if kind.filter:
            named.append(f"{verb}_{kind.filter.key}")
        if kind.map:
            named.append(f"{verb}_{kind.map.key}")
        return choice(named)


def count_second(pairs):
    out = {}
    for _, key in pairs:
        out[key] = out.get(key, 0) + 1
    return out


def group_by_second(pairs):
    out = {}
    for element, key in pairs:
        out.setdefault(key, []).append(element)
    return out
