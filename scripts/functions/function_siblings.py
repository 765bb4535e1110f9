"""Whether the tests of a problem tell it from its siblings: the same function with one part replaced by another."""

import copy
import dataclasses

from function_kinds import QUANTIFIERS
from function_parts import FILTERS, MAPS, REDUCERS
from function_tests import Elements, draw_case

TRIES = 60  # arguments on which a sibling that the tests do not tell apart must be the same


def replacements(instance, random):
    """(name of the part, its replacement, constants) one at a time; also the same part with another constant."""
    kind = instance.kind
    candidates = {
        "filter": [None] + [f for f in FILTERS if kind.filter and f.type == kind.source.type],
        "map": [None] + [m for m in MAPS if kind.map and m.type == kind.source.type and m.result == kind.map.result],
        "other": [None]
        + [m for m in MAPS if kind.other and m.type == kind.source.type and m.result == kind.other.result],
    }
    for name, parts in candidates.items():
        old = getattr(kind, name)
        for part in parts if old else ():
            if part is not None or (kind.shape == "pipeline" and (name != "map" or old.result == old.type)):
                yield name, part, part.draw(random) if part else {}
        for key, value in instance.constants.get(old, {}).items():
            if isinstance(value, int):
                yield name, old, {**instance.constants[old], key: value + 1}
                yield name, old, {**instance.constants[old], key: value - 1}
    if kind.shape == "quantifier":
        yield from (("reducer", q, None) for q in QUANTIFIERS if q != kind.reducer)
    elif kind.shape == "pipeline":
        result = kind.map.result if kind.map else kind.source.type
        yield from (("reducer", r, r.draw(random)) for r in REDUCERS if r != kind.reducer and result in r.types)


def sibling(instance, name, part, constants):
    out = copy.copy(instance)
    out.kind = dataclasses.replace(instance.kind, **{name: part})
    # A part that stands in two places (map and other) has one set of constants, which changes in both.
    out.constants = instance.constants if constants is None else {**instance.constants, part: constants}
    out.value = out.compile_value()
    return out


def same(a, b, args):
    try:
        other = b.value(*args)
    except (ValueError, TypeError, ZeroDivisionError, IndexError):
        return False
    return repr(a.value(*args)) == repr(other)


def undistinguished(instance, cases, random):
    """How many siblings agree with the problem on all cases although other arguments tell them apart."""
    missed = 0
    for name, part, constants in replacements(instance, random):
        if name == "map" and part is not None and part is instance.kind.other:
            continue
        other = sibling(instance, name, part, constants)
        if not all(same(instance, other, args) for args, _ in cases):
            continue
        elements = Elements(instance, random)
        others = [draw_case(instance, random, elements, random.randint(0, 9), 110) for _ in range(TRIES)]
        missed += not all(same(instance, other, case[0]) for case in others if case)
    return missed
