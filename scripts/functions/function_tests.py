"""Arguments and expected values for the Instances of function_kinds.py, and the running of programs on them."""

import copy
import dataclasses

from function_parts import WORDS

CHARACTERS = "aaeeiioouubcdfghklmnprstwyzABDEGIKMORSTUZ0123456789    -!"
SHOWN_BYTES, HIDDEN_BYTES = 60, 110  # longest text of the arguments, and of the value
SHOWN, HIDDEN = 3, 6
HIDDEN_SIZES = (0, 1, 2, 4, 6, 7, 8, 9)


class Elements:
    """Draws elements of a source so that about half pass the filter, with some right at its bounds."""

    def __init__(self, instance, random):
        self.random, self.type = random, instance.kind.source.type
        self.passes = instance.compile_condition()
        self.quantified = instance.kind.shape == "quantifier"
        keys = [part.key for part in (instance.kind.map, instance.kind.reducer) if hasattr(part, "key")]
        self.small = bool({"product", "cube", "pair_product"} & set(keys))
        constants = instance.constants.get(instance.kind.filter, {}).values()
        self.share = 0.55  # of the elements that shall pass
        self.bounds = [c + step for c in constants if isinstance(c, int) for step in (-1, 0, 1)]

    def new_case(self):
        """A question about all elements is worth asking only where all, some and none pass now and then."""
        if self.quantified:
            self.share = self.random.choice((0, 0.5, 1))

    def any(self):
        r = self.random
        if self.type == "char":
            return r.choice(CHARACTERS)
        if self.type == "word":
            return r.choice(WORDS)
        if self.type == "pair":
            first = r.randint(0, 9 if self.small else 20)
            return (first, first if r.random() < 0.3 else r.randint(0, 9 if self.small else 20))
        if self.bounds and r.random() < 0.25:
            return r.choice(self.bounds)
        low, high = r.choice(((-9, 9), (-20, 30), (0, 40), (5, 120)) if not self.small else ((-5, 9), (1, 9)))
        return r.randint(low, high)

    def __call__(self):
        element = self.any()
        if not self.passes:
            return element
        wanted = self.random.random() < self.share
        for _ in range(30):
            if self.passes(*element) if self.type == "pair" else self.passes(element):
                if wanted:
                    return element
            elif not wanted:
                return element
            element = self.any()
        return element


def draw_case(instance, random, elements, size, longest):
    """One (arguments, value), or None where no short one was found."""
    for _ in range(8):
        elements.new_case()
        args = instance.kind.source.make(random, elements, size)
        if sum(len(repr(a)) for a in args) > longest:
            continue
        value = instance.value(*args)
        if len(repr(value)) <= longest:
            return args, value
    return None


def draw_cases(instance, random, hidden=HIDDEN):
    """SHOWN cases of moderate size, then `hidden` ones with empty, tiny and larger arguments; None for a function that
    does nothing on any of them: one value for all, or a filter that passes all or nothing."""
    elements = Elements(instance, random)
    sizes = [random.randint(3, 9 if instance.kind.source.type == "char" else 5) for _ in range(SHOWN)]
    limits = [SHOWN_BYTES] * SHOWN + [HIDDEN_BYTES] * hidden
    sizes += random.sample(HIDDEN_SIZES[1:], hidden - 1) + [0] if hidden else []
    cases, seen = [], set()
    for size, limit in zip(sizes, limits):
        for _ in range(4):
            case = draw_case(instance, random, elements, size, limit)
            if case and repr(case[0]) not in seen:
                break
        if case is None:
            return None
        if repr(case[0]) not in seen:
            cases.append(case)
        seen.add(repr(case[0]))
    values = [repr(value) for _, value in cases[:SHOWN]]
    return cases if len(cases) >= SHOWN and len(set(values)) > 1 and alive(instance, cases) else None


def removable(kind):
    """The parts without which a kind is one of the same form, so that both have values to compare."""
    if kind.source.type == "pair":
        return
    if kind.filter and kind.shape in ("pipeline", "mapping", "counts", "groups"):
        yield "filter"
    if kind.map and kind.shape in ("pipeline", "branch") and kind.map.result == kind.source.type:
        yield "map"


def alive(instance, cases):
    """Whether filter and map make a difference on some case: the words promise that they do something."""
    for part in removable(instance.kind):
        without = instance.variant(dataclasses.replace(instance.kind, **{part: None}))
        if all(without.value(*args) == value for args, value in cases):
            return False
    return True


def assertion(name, args, value):
    return f"assert {name}({', '.join(map(repr, args))}) == {value!r}"


def run(program, name, cases):
    """The first case on which the program does something else, or None. The arguments are copied: a program may
    change them."""
    scope = {}
    exec(compile(program, "<program>", "exec"), scope)
    for args, value in cases:
        found = scope[name](*copy.deepcopy(args))
        if type(found) is not type(value) or found != value:
            return args, value, found
    return None
