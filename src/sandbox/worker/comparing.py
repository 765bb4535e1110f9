"""How results are compared with what is expected, and how values are shown."""
import math
import reprlib

import mirror

SHOWN = 300  # characters of a detail
SHOWN_BITS = 10_000  # of an integer; its digits take quadratic time
NUMBERS = (int, float, complex)


class Shown(reprlib.Repr):
    def repr_int(self, value, level):
        return super().repr_int(value, level) if value.bit_length() <= SHOWN_BITS else \
            f"an integer of {value.bit_length()} bits"

    def repr_instance(self, value, level):
        if mirror.link_of(value):  # its text would be asked of the program
            return f"<{value.__name__ if isinstance(value, type) else type(value).__name__} of the program>"
        return super().repr_instance(value, level)


def shown(value):
    try:
        text = Shown().repr(value)
    except BaseException as error:
        text = f"a value whose repr raises {type(error).__name__}"
    return text[:SHOWN]


def near(found, expected, tolerance):
    if found == expected:
        return True
    if not tolerance:
        return False
    if type(found).__name__ in ("Decimal", "Fraction") and isinstance(expected, NUMBERS):
        found = float(found)
    if isinstance(found, NUMBERS) and isinstance(expected, NUMBERS):
        return within(found, expected, tolerance)
    if type(found) is not type(expected) or not isinstance(found, (list, tuple, dict)) or len(found) != len(expected):
        return False
    if isinstance(found, dict):
        return found.keys() == expected.keys() and all(near(found[k], expected[k], tolerance) for k in found)
    return all(map(near, found, expected, [tolerance] * len(found)))


def within(found, expected, tolerance):
    try:
        return abs(found - expected) <= tolerance
    except OverflowError:  # an integer beyond all floats
        return False


def same(found, expected, tolerance=0):
    """Equal, and of the same types throughout: 1 is not True nor 1.0, 0.0 is not -0.0; nan is nan."""
    if type(found) is not type(expected):
        return False
    if type(found) is float:
        if math.isnan(found) or math.isnan(expected):
            return math.isnan(found) and math.isnan(expected)
        exact = found == expected and math.copysign(1, found) == math.copysign(1, expected)
        return exact or bool(tolerance) and within(found, expected, tolerance)
    if isinstance(found, (list, tuple)):
        return len(found) == len(expected) and all(map(same, found, expected, [tolerance] * len(found)))
    if isinstance(found, dict):
        kept = {key: key for key in expected}
        return found.keys() == kept.keys() and \
            all(same(key, kept[key]) and same(found[key], expected[key], tolerance) for key in found)
    if isinstance(found, (set, frozenset)):
        kept = {key: key for key in expected}
        return found == expected and all(same(key, kept[key]) for key in found)
    return near(found, expected, tolerance)
