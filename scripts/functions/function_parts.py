"""The vocabulary of make_function_problems.py: what small functions are put together from.

A function walks over the elements of a Source, keeps some of them (Filter), turns each into something else (Map) and
makes one result of what is left (Reducer). Each part has its words in English and several ways to write it in Python;
the first form of a Filter or a Map is its definition, the others must agree with it, which is checked by running them.
"{x}" stands for the element, "{k}" and the like for constants that are drawn for each problem.
"""

from dataclasses import dataclass
from typing import Callable

VOWELS = "aeiou"
WORDS = (
    "apple banana cherry kayak level lemon grape melon peach olive radar civic noon stone river cloud tiger eagle otter "
    "house mouse green blue red yellow black brown sky sun moon star tree leaf root bird fish ant bee cat dog owl pig "
    "Anna Bob Carl Dora Emma Otto river sea lake hill road bridge tower window door table chair lamp book paper ink"
).split()


def nothing(_):
    return {}


@dataclass(frozen=True)
class Filter:
    key: str
    type: str  # of the element: int, char, word, pair
    forms: tuple  # Python conditions
    predicates: tuple  # "are even": completes "numbers that ..."
    adjectives: tuple = ()  # "even": stands before the noun
    nouns: tuple = ()  # "vowels": replaces the noun
    draw: Callable = nothing


@dataclass(frozen=True)
class Map:
    key: str
    type: str
    result: str
    forms: tuple  # Python expressions
    of: tuple  # "the squares of {X}"
    its: str  # "its square"
    step: str  # "square each of them"
    draw: Callable = nothing


@dataclass(frozen=True)
class Reducer:
    key: str
    types: tuple
    of: tuple  # "the sum of {X}"
    step: str  # "return their sum"
    verbs: tuple  # for names of functions
    value: Callable  # of the list of elements (and the constants): the definition
    inline: tuple  # expressions over a generator {gen}
    named: tuple  # expressions over a list named {n}
    start: str  # the accumulator {r} before the loop, "" if none
    body: tuple  # lines for each element {y}
    result: str  # after the loop
    mapped: bool = True  # also after a map
    imports: str = ""  # what inline and named need
    draw: Callable = nothing


@dataclass(frozen=True)
class Source:
    key: str
    type: str
    args: tuple  # choices of argument names, each a tuple
    clauses: tuple  # (variable, iterable) of each nested "for"; {a}, {b} are the arguments
    nouns: tuple
    places: tuple  # "in a list"
    given: str  # "a list of numbers"
    it: str  # place after "Given a list of numbers, ..."
    make: Callable  # (random, draw an element, size) -> arguments
    listed: bool = False  # the only clause walks over argument {a}, which is a list or a string
    draw: Callable = nothing


# ------------------------------------------------------------------------------------------------------------ filters


def one(name, low, high):
    return lambda r: {name: r.randint(low, high)}


def bounds(r):
    low = r.randint(-5, 12)
    return {"a": low, "b": low + r.randint(3, 15)}


def letter(r):
    return {"c": r.choice("abcdeghilmnoprst")}


FILTERS = (
    Filter("even", "int", ("{x} % 2 == 0", "not {x} % 2", "{x} % 2 != 1"), ("are even", "are divisible by two"),
           ("even",)),
    Filter("odd", "int", ("{x} % 2 == 1", "{x} % 2 != 0", "{x} % 2"), ("are odd", "are not even"), ("odd",)),
    Filter("positive", "int", ("{x} > 0", "0 < {x}", "{x} >= 1"), ("are positive",), ("positive",)),
    Filter("negative", "int", ("{x} < 0", "0 > {x}"), ("are negative",), ("negative",)),
    Filter("above", "int", ("{x} > {k}", "{k} < {x}", "not {x} <= {k}"),
           ("are greater than {k}", "are above {k}", "exceed {k}"), draw=one("k", 2, 15)),
    Filter("below", "int", ("{x} < {k}", "{k} > {x}", "not {x} >= {k}"),
           ("are less than {k}", "are below {k}", "are smaller than {k}"), draw=one("k", 2, 20)),
    Filter("at_least", "int", ("{x} >= {k}", "{k} <= {x}", "not {x} < {k}"),
           ("are at least {k}", "are not below {k}", "are {k} or more"), draw=one("k", 2, 15)),
    Filter("at_most", "int", ("{x} <= {k}", "{k} >= {x}", "not {x} > {k}"),
           ("are at most {k}", "are not above {k}", "are {k} or less"), draw=one("k", 2, 20)),
    Filter("between", "int", ("{a} <= {x} <= {b}", "{x} >= {a} and {x} <= {b}", "{x} in range({a}, {b} + 1)"),
           ("are between {a} and {b} inclusive", "lie in the range from {a} to {b}"), draw=bounds),
    Filter("outside", "int", ("{x} < {a} or {x} > {b}", "not {a} <= {x} <= {b}"),
           ("lie outside the range from {a} to {b}", "are below {a} or above {b}"), draw=bounds),
    Filter("multiple", "int", ("{x} % {k} == 0", "not {x} % {k}"), ("are divisible by {k}", "are multiples of {k}"),
           draw=one("k", 3, 9)),
    Filter("not_multiple", "int", ("{x} % {k} != 0", "{x} % {k}", "{x} % {k} > 0"),
           ("are not divisible by {k}", "are no multiples of {k}"), draw=one("k", 3, 9)),
    Filter("ends", "int", ("abs({x}) % 10 == {k}", "str({x})[-1] == '{k}'", "str({x}).endswith('{k}')"),
           ("end in the digit {k}", "end with {k}"), draw=one("k", 1, 9)),
    Filter("has_digit", "int", ("'{k}' in str({x})", "str({k}) in str({x})", "str({x}).count('{k}') > 0"),
           ("contain the digit {k}", "have a {k} among their digits"), draw=one("k", 1, 9)),
    Filter("two_digits", "int", ("len(str(abs({x}))) == 2", "10 <= abs({x}) <= 99", "9 < abs({x}) < 100"),
           ("have exactly two digits", "have two digits"), ("two-digit",)),
    Filter("not_equal", "int", ("{x} != {k}", "not {x} == {k}"), ("are not equal to {k}", "differ from {k}"),
           draw=one("k", 1, 9)),
    Filter("prime", "int",
           ("{x} > 1 and all({x} % t for t in range(2, {x}))",
            "{x} >= 2 and not any({x} % t == 0 for t in range(2, {x}))"),
           ("are prime",), ("prime",)),
    Filter("vowel", "char", ("{x} in 'aeiou'", "'aeiou'.find({x}) >= 0", "{x} in ('a', 'e', 'i', 'o', 'u')"),
           ("are lowercase vowels",), nouns=("lowercase vowels",)),
    Filter("no_vowel", "char", ("{x} not in 'aeiou'", "not {x} in 'aeiou'"), ("are not lowercase vowels",)),
    Filter("letter", "char", ("{x}.isalpha()",), ("are letters",), nouns=("letters",)),
    Filter("digit", "char", ("{x}.isdigit()", "{x} in '0123456789'", "'0' <= {x} <= '9'"), ("are digits",),
           nouns=("digits",)),
    Filter("upper", "char", ("{x}.isupper()", "'A' <= {x} <= 'Z'"), ("are uppercase letters",), ("uppercase",),
           ("capital letters",)),
    Filter("lower", "char", ("{x}.islower()", "'a' <= {x} <= 'z'"), ("are lowercase letters",), ("lowercase",),
           ("small letters",)),
    Filter("no_space", "char", ("{x} != ' '", "not {x} == ' '", "not {x}.isspace()"), ("are not spaces",),
           ("non-space",)),
    Filter("is_char", "char", ("{x} == '{c}'",), ("are equal to '{c}'",), nouns=("letters '{c}'",), draw=letter),
    Filter("not_char", "char", ("{x} != '{c}'", "not {x} == '{c}'"), ("are not '{c}'", "differ from '{c}'"),
           draw=letter),
    Filter("before_char", "char", ("{x} < '{c}'", "'{c}' > {x}"), ("come before '{c}'",), draw=letter),
    Filter("longer", "word", ("len({x}) > {k}", "{k} < len({x})", "len({x}) >= {k} + 1"),
           ("are longer than {k} letters", "have more than {k} letters"), draw=one("k", 3, 5)),
    Filter("shorter", "word", ("len({x}) < {k}", "{k} > len({x})", "len({x}) <= {k} - 1"),
           ("are shorter than {k} letters", "have fewer than {k} letters"), draw=one("k", 4, 6)),
    Filter("length", "word", ("len({x}) == {k}",), ("have exactly {k} letters", "have length {k}"),
           draw=one("k", 3, 5)),
    Filter("starts", "word", ("{x}.startswith('{c}')", "{x}[:1] == '{c}'", "{x}.find('{c}') == 0"),
           ("start with '{c}'", "begin with the letter '{c}'"), draw=lambda r: {"c": r.choice("abglmrst")}),
    Filter("ends_letter", "word", ("{x}.endswith('{c}')", "{x}[-1:] == '{c}'"),
           ("end with '{c}'", "end in the letter '{c}'"), draw=lambda r: {"c": r.choice("adenrty")}),
    Filter("with_letter", "word", ("'{c}' in {x}", "{x}.count('{c}') > 0", "{x}.find('{c}') != -1"),
           ("contain '{c}'", "contain the letter '{c}'"), draw=letter),
    Filter("without_letter", "word", ("'{c}' not in {x}", "{x}.count('{c}') == 0", "not '{c}' in {x}"),
           ("do not contain '{c}'", "lack the letter '{c}'"), draw=letter),
    Filter("palindrome", "word", ("{x} == {x}[::-1]", "{x}[::-1] == {x}", "list({x}) == list(reversed({x}))"),
           ("are palindromes", "read the same backwards"), nouns=("palindromes",)),
    Filter("capital", "word", ("{x}[:1].isupper()", "{x}[0].isupper()"), ("start with a capital letter",),
           ("capitalized",)),
    Filter("even_length", "word", ("len({x}) % 2 == 0", "not len({x}) % 2"),
           ("have an even number of letters", "have even length")),
    Filter("vowel_start", "word", ("{x}[0].lower() in 'aeiou'", "{x}.lower()[0] in 'aeiou'"),
           ("start with a vowel", "begin with a vowel")),
    Filter("equal", "pair", ("{x} == {y}", "not {x} != {y}"), ("are equal",), ("equal",)),
    Filter("rising", "pair", ("{x} < {y}", "{y} > {x}"), ("have a larger second number",)),
    Filter("falling", "pair", ("{x} > {y}", "{y} < {x}"), ("have a larger first number",)),
    Filter("same_parity", "pair", ("{x} % 2 == {y} % 2", "({x} + {y}) % 2 == 0"),
           ("have the same parity", "are both even or both odd")),
    Filter("pair_above", "pair", ("{x} + {y} > {k}", "{k} < {x} + {y}"), ("add up to more than {k}",),
           draw=one("k", 5, 25)),
)

# --------------------------------------------------------------------------------------------------------------- maps

MAPS = (
    Map("square", "int", "int", ("{x} * {x}", "{x} ** 2", "pow({x}, 2)"), ("the squares of {X}",), "its square",
        "square each of them"),
    Map("cube", "int", "int", ("{x} ** 3", "{x} * {x} * {x}"), ("the cubes of {X}", "the third powers of {X}"),
        "its cube", "cube each of them"),
    Map("double", "int", "int", ("{x} * 2", "2 * {x}", "{x} + {x}"), ("the doubles of {X}", "twice {X}"),
        "its double", "double each of them"),
    Map("times", "int", "int", ("{x} * {k}", "{k} * {x}"), ("{X} multiplied by {k}", "{k} times {X}"),
        "{k} times its value", "multiply each by {k}", one("k", 3, 9)),
    Map("half", "int", "int", ("{x} // 2",), ("the halves of {X} rounded down",), "its half rounded down",
        "halve each of them rounding down"),
    Map("plus", "int", "int", ("{x} + {k}", "{k} + {x}"), ("{X} each increased by {k}", "{X} plus {k} each"),
        "its value plus {k}", "add {k} to each", one("k", 2, 12)),
    Map("minus", "int", "int", ("{x} - {k}", "-{k} + {x}"), ("{X} each decreased by {k}", "{X} minus {k} each"),
        "its value minus {k}", "subtract {k} from each", one("k", 2, 12)),
    Map("rest", "int", "int", ("{x} % {k}",),
        ("the remainders of {X} modulo {k}", "the remainders of {X} after division by {k}"),
        "its remainder modulo {k}", "take each modulo {k}", one("k", 3, 9)),
    Map("quotient", "int", "int", ("{x} // {k}",),
        ("the integer quotients of {X} by {k}", "{X} integer-divided by {k}"), "its integer quotient by {k}",
        "integer-divide each by {k}", one("k", 3, 9)),
    Map("abs", "int", "int", ("abs({x})", "max({x}, -{x})"), ("the absolute values of {X}",), "its absolute value",
        "take absolute values"),
    Map("negate", "int", "int", ("-{x}", "0 - {x}"), ("the negatives of {X}", "{X} with the sign flipped"),
        "its negative", "negate each of them"),
    Map("last_digit", "int", "int", ("abs({x}) % 10", "int(str({x})[-1])"), ("the last digits of {X}",),
        "its last digit", "take the last digit of each"),
    Map("digit_count", "int", "int", ("len(str(abs({x})))",),
        ("the digit counts of {X}", "the numbers of digits of {X}"), "its number of digits",
        "count the digits of each"),
    Map("digit_sum", "int", "int", ("sum(int(t) for t in str(abs({x})))", "sum(map(int, str(abs({x}))))"),
        ("the digit sums of {X}", "the sums of digits of {X}"), "its digit sum", "take the digit sum of each"),
    Map("cap", "int", "int", ("min({x}, {k})", "min({k}, {x})"), ("{X} capped at {k}", "{X} limited to at most {k}"),
        "its value capped at {k}", "cap each at {k}", one("k", 4, 15)),
    Map("raise", "int", "int", ("max({x}, {k})", "max({k}, {x})"), ("{X} raised to at least {k}",),
        "its value raised to at least {k}", "raise each to at least {k}", one("k", 2, 10)),
    Map("distance", "int", "int", ("abs({x} - {k})", "abs({k} - {x})"),
        ("the distances of {X} from {k}", "the absolute differences of {X} and {k}"), "its distance from {k}",
        "take the distance of each from {k}", one("k", 2, 12)),
    Map("text", "int", "word", ("str({x})",), ("the decimal strings of {X}", "{X} as strings"), "its decimal string",
        "turn each into a string"),
    Map("to_upper", "char", "char", ("{x}.upper()",), ("{X} in uppercase", "the uppercase forms of {X}"),
        "its uppercase form", "convert them to uppercase"),
    Map("to_lower", "char", "char", ("{x}.lower()",), ("{X} in lowercase", "the lowercase forms of {X}"),
        "its lowercase form", "convert them to lowercase"),
    Map("swap", "char", "char", ("{x}.swapcase()",), ("{X} with swapped case",), "its swapped-case form",
        "swap their case"),
    Map("twice", "char", "char", ("{x} * 2", "2 * {x}", "{x} + {x}"),
        ("{X} each written twice", "{X} each repeated twice"), "itself written twice", "write each twice"),
    Map("code", "char", "int", ("ord({x})",), ("the character codes of {X}",), "its character code",
        "take their character codes"),
    Map("next", "char", "char", ("chr(ord({x}) + 1)", "chr(1 + ord({x}))"), ("the successors of {X} by code",),
        "its successor by code", "replace each by its successor"),
    Map("length", "word", "int", ("len({x})",), ("the lengths of {X}",), "its length", "take their lengths"),
    Map("word_upper", "word", "word", ("{x}.upper()",), ("{X} in uppercase", "the uppercase forms of {X}"),
        "its uppercase form", "convert them to uppercase"),
    Map("word_capital", "word", "word", ("{x}.capitalize()", "{x}[0].upper() + {x}[1:].lower()"),
        ("{X} capitalized", "the capitalized forms of {X}"), "its capitalized form", "capitalize each of them"),
    Map("backwards", "word", "word", ("{x}[::-1]", "''.join(reversed({x}))"),
        ("{X} each reversed", "{X} spelled backwards"), "its reverse", "reverse each of them"),
    Map("first_letter", "word", "char", ("{x}[0]", "{x}[:1]"), ("the first letters of {X}", "the initials of {X}"),
        "its first letter", "take their first letters"),
    Map("last_letter", "word", "char", ("{x}[-1]", "{x}[-1:]"), ("the last letters of {X}",), "its last letter",
        "take their last letters"),
    Map("word_twice", "word", "word", ("{x} * 2", "{x} + {x}"), ("{X} each written twice", "{X} each repeated twice"),
        "itself written twice", "write each twice"),
    Map("suffix", "word", "word", ("{x} + '{s}'",), ("{X} each followed by '{s}'", "{X} with '{s}' appended"),
        "itself followed by '{s}'", "append '{s}' to each",
        lambda r: {"s": r.choice(["s", "ed", "er", "ing", "ly", "!"])}),
    Map("prefix", "word", "word", ("'{s}' + {x}",), ("{X} each preceded by '{s}'", "{X} with '{s}' put before"),
        "itself preceded by '{s}'", "put '{s}' before each",
        lambda r: {"s": r.choice(["re", "un", "pre", "#", "my"])}),
    Map("head", "word", "word", ("{x}[:{k}]",), ("the first {k} letters of each of {X}",), "its first {k} letters",
        "cut each to {k} letters", one("k", 2, 3)),
    Map("vowel_count", "word", "int",
        ("sum(t in 'aeiou' for t in {x})",
         "sum(1 for t in {x} if t in 'aeiou')", "len([t for t in {x} if t in 'aeiou'])"),
        ("the lowercase vowel counts of {X}",), "its number of lowercase vowels",
        "count the lowercase vowels of each"),
    Map("letter_count", "word", "int", ("{x}.count('{c}')",), ("the counts of '{c}' in each of {X}",),
        "its count of '{c}'", "count '{c}' in each", letter),
    Map("pair_sum", "pair", "int", ("{x} + {y}", "{y} + {x}"), ("the sums of {X}",), "its sum", "add up each pair"),
    Map("pair_product", "pair", "int", ("{x} * {y}", "{y} * {x}"), ("the products of {X}",), "its product",
        "multiply each pair"),
    Map("pair_difference", "pair", "int", ("{y} - {x}", "-{x} + {y}"), ("the differences second minus first of {X}",),
        "its difference second minus first", "subtract the first of each pair from the second"),
    Map("pair_distance", "pair", "int", ("abs({x} - {y})", "abs({y} - {x})"), ("the absolute differences of {X}",),
        "its absolute difference", "take the absolute difference of each pair"),
    Map("pair_max", "pair", "int", ("max({x}, {y})", "max({y}, {x})"), ("the larger numbers of {X}",),
        "its larger number", "take the larger number of each pair"),
    Map("pair_min", "pair", "int", ("min({x}, {y})", "min({y}, {x})"), ("the smaller numbers of {X}",),
        "its smaller number", "take the smaller number of each pair"),
)

# ----------------------------------------------------------------------------------------------------------- reducers

ALL = ("int", "char", "word")


def default_number(r):
    return {"d": r.choice((0, -1, None))}


def product(values):
    out = 1
    for value in values:
        out *= value
    return out


def running(values):
    return [sum(values[: i + 1]) for i in range(len(values))]


def separator(r):
    return {"s": r.choice(("-", ", ", " ", "+", "/"))}


def best_loop(sign):
    return ("if {r} is None or {y} " + sign + " {r}:", "    {r} = {y}")


REDUCERS = (
    Reducer("sum", ("int",), ("the sum of {X}", "the total of {X}"), "return their sum", ("sum", "total", "add_up"),
            sum, ("sum({gen})", "sum([{gen}])"), ("sum({n})",), "{r} = 0", ("{r} += {y}",), "{r}"),
    Reducer("product", ("int",), ("the product of {X}",), "return their product", ("product", "multiply"), product,
            ("math.prod({gen})", "math.prod([{gen}])"), ("math.prod({n})",), "{r} = 1", ("{r} *= {y}",), "{r}",
            imports="import math"),
    Reducer("count", ALL + ("pair",), ("the number of {X}", "how many there are of {X}"), "return how many are left",
            ("count", "number_of"), len, ("sum(1 for {gen_tail})", "len([{gen}])"), ("len({n})",), "{r} = 0",
            ("{r} += 1",), "{r}", mapped=False),
    Reducer("distinct", ALL, ("the number of different values among {X}", "the number of distinct {X}"),
            "return how many of them are distinct", ("distinct", "unique"), lambda v: len(set(v)),
            ("len(set({gen}))", "len({{{gen}}})"), ("len(set({n}))",), "{r} = set()", ("{r}.add({y})",), "len({r})"),
    Reducer("max", ("int",),
            ("the largest of {X}, or {d} if there are none", "the maximum of {X} ({d} if there are none)"),
            "return the largest or {d} if nothing is left", ("largest", "maximum"), lambda v, d: max(v, default=d),
            ("max(({gen}), default={d})", "max([{gen}], default={d})"),
            ("max({n}, default={d})", "max({n}) if {n} else {d}"), "{r} = None", best_loop(">"),
            "{d} if {r} is None else {r}", draw=default_number),
    Reducer("min", ("int",),
            ("the smallest of {X}, or {d} if there are none", "the minimum of {X} ({d} if there are none)"),
            "return the smallest or {d} if nothing is left", ("smallest", "minimum"), lambda v, d: min(v, default=d),
            ("min(({gen}), default={d})", "min([{gen}], default={d})"),
            ("min({n}, default={d})", "min({n}) if {n} else {d}"), "{r} = None", best_loop("<"),
            "{d} if {r} is None else {r}", draw=default_number),
    Reducer("first", ALL, ("the first of {X}, or {d} if there are none",),
            "return the first one or {d} if nothing is left", ("first", "find_first"), lambda v, d: v[0] if v else d,
            ("next(({gen}), {d})",), ("{n}[0] if {n} else {d}",), "", ("return {y}",), "{d}",
            draw=lambda _: {"d": None}),
    Reducer("last", ALL, ("the last of {X}, or {d} if there are none",),
            "return the last one or {d} if nothing is left", ("last", "find_last"), lambda v, d: v[-1] if v else d,
            (), ("{n}[-1] if {n} else {d}",), "{r} = {d}", ("{r} = {y}",), "{r}", draw=lambda _: {"d": None}),
    Reducer("list", ALL, ("a list of {X}", "the list of {X}"), "return them as a list", ("get", "collect", "select"),
            list, ("[{gen}]", "list({gen})"), ("{n}",), "{r} = []", ("{r}.append({y})",), "{r}"),
    Reducer("sorted", ALL, ("a sorted list of {X}", "{X} in ascending order"), "return them sorted",
            ("sorted", "sort"), sorted, ("sorted({gen})", "sorted([{gen}])"), ("sorted({n})",), "{r} = []",
            ("{r}.append({y})",), "sorted({r})"),
    Reducer("descending", ALL, ("a list of {X} from largest to smallest", "{X} in descending order"),
            "return them in descending order", ("descending", "sort_down"), lambda v: sorted(v, reverse=True),
            ("sorted(({gen}), reverse=True)", "sorted([{gen}], reverse=True)"),
            ("sorted({n}, reverse=True)", "sorted({n})[::-1]"), "{r} = []", ("{r}.append({y})",),
            "sorted({r}, reverse=True)"),
    Reducer("reversed", ALL, ("a list of {X} in reverse order", "the reversed list of {X}"),
            "return them in reverse order", ("reversed", "reverse"), lambda v: v[::-1], ("[{gen}][::-1]",),
            ("{n}[::-1]", "list(reversed({n}))"), "{r} = []", ("{r}.insert(0, {y})",), "{r}"),
    Reducer("uniques", ALL, ("a sorted list of the different values among {X}",), "return the distinct ones sorted",
            ("unique", "distinct"), lambda v: sorted(set(v)), ("sorted(set({gen}))", "sorted({{{gen}}})"),
            ("sorted(set({n}))",), "{r} = set()", ("{r}.add({y})",), "sorted({r})"),
    Reducer("running", ("int",), ("the running totals of {X}", "a list of the running sums of {X}"),
            "return their running totals", ("running", "accumulate"), running, ("list(accumulate({gen}))",),
            ("list(accumulate({n}))", "[sum({n}[:i + 1]) for i in range(len({n}))]"), "{r} = []",
            ("{r}.append({y} + ({r}[-1] if {r} else 0))",), "{r}", imports="from itertools import accumulate"),
    Reducer("join", ("char",), ("the string made of {X}", "a string of {X}"), "join them into a string",
            ("join", "build"), "".join, ("''.join({gen})", "''.join([{gen}])"), ("''.join({n})",), "{r} = ''",
            ("{r} += {y}",), "{r}"),
    Reducer("join_back", ("char",), ("the string made of {X} in reverse order",), "join them in reverse order",
            ("reverse", "backwards"), lambda v: "".join(v[::-1]), ("''.join({gen})[::-1]",),
            ("''.join({n})[::-1]", "''.join(reversed({n}))"), "{r} = ''", ("{r} = {y} + {r}",), "{r}"),
    Reducer("separated", ("char", "word"), ("{X} joined by '{s}'", "the string of {X} separated by '{s}'"),
            "join them with '{s}'", ("join", "glue"), lambda v, s: s.join(v),
            ("'{s}'.join({gen})", "'{s}'.join([{gen}])"), ("'{s}'.join({n})",), "{r} = []", ("{r}.append({y})",),
            "'{s}'.join({r})", draw=separator),
    Reducer("longest", ("word",), ("the first longest of {X}, or '' if there are none",),
            "return the first longest one or '' if nothing is left", ("longest",),
            lambda v: max(v, key=len, default=""),
            ("max(({gen}), key=len, default='')", "max([{gen}], key=len, default='')"),
            ("max({n}, key=len, default='')",), "{r} = ''", ("if len({y}) > len({r}):", "    {r} = {y}"), "{r}"),
)

# ------------------------------------------------------------------------------------------------------------ sources


def list_of(r, draw, size):
    return ([draw() for _ in range(size)],)


def nested(r, draw, size):
    rows, left = [], size
    while left > 0 or len(rows) < 2:
        take = min(left, r.randint(1, 3))
        rows.append([draw() for _ in range(take)])
        left -= take
        if len(rows) == 4:
            break
    return (rows,)


def keyed(r, draw, size):
    keys = r.sample("abcdefghkmnpqrst", min(size, 8))
    return ({key: draw() for key in keys},)


def word_keyed(r, draw, size):
    return ({draw(): r.randint(0, 20) for _ in range(min(size, 5))},)


def two_lists(r, draw, size):
    pairs = [draw() for _ in range(size)]
    return ([p[0] for p in pairs], [p[1] for p in pairs])


def chained(r, draw, size):
    flat = [number for _ in range((size + 1) // 2) for number in draw()]
    return (flat[: max(1, size)] if size else [],)


def text_of(r, draw, size):
    return ("".join(draw() for _ in range(size)),)


def sentence(r, draw, size):
    return (" ".join(draw() for _ in range(size)),)


def natural(low, high):
    return lambda r, draw, size: (r.randint(low, high) if size else r.randint(0, 1),)


def digits(r, draw, size):
    return (r.randint(10, 999_999) if size else r.randint(0, 9),)


NUMBERS = ("numbers", "integers", "values", "elements")
LISTS = (("nums",), ("numbers",), ("lst",), ("arr",), ("values",), ("data",))

SOURCES = (
    Source("list", "int", LISTS, (("{x}", "{a}"),), NUMBERS, ("in a list", "of a list", "in a given list"),
           "a list of integers", "in it", list_of, listed=True),
    Source("nested", "int", (("rows",), ("matrix",), ("grid",), ("lists",)), (("row", "{a}"), ("{x}", "row")),
           ("numbers", "integers"), ("in a list of lists", "of a nested list"), "a list of lists of integers",
           "in it", nested),
    Source("range", "int", (("n",), ("limit",), ("m",)), (("{x}", "range(1, {a} + 1)"),), ("numbers", "integers"),
           ("from 1 to {a}", "from 1 through {a}"), "a number {a}", "from 1 to {a}", natural(4, 22)),
    Source("below", "int", (("n",), ("limit",), ("m",)), (("{x}", "range({a})"),), ("numbers", "integers"),
           ("from 0 up to but not including {a}", "from 0 to {a} - 1"), "a number {a}", "from 0 to {a} - 1",
           natural(4, 22)),
    Source("digits", "int", (("n",), ("number",), ("num",)), (("{x}", "map(int, str({a}))"),), ("digits",),
           ("of a number", "of an integer {a}"), "an integer {a}", "of it", digits),
    Source("dict_values", "int", (("d",), ("mapping",), ("scores",), ("prices",)), (("{x}", "{a}.values()"),),
           ("values",), ("of a dictionary", "in a dict"), "a dictionary of integers", "in it", keyed),
    Source("evens_at", "int", LISTS, (("{x}", "{a}[::2]"),), ("numbers", "elements"),
           ("at the even indices of a list", "at even positions of a list"), "a list of integers",
           "at its even indices", list_of),
    Source("odds_at", "int", LISTS, (("{x}", "{a}[1::2]"),), ("numbers", "elements"),
           ("at the odd indices of a list", "at odd positions of a list"), "a list of integers", "at its odd indices",
           list_of),
    Source("head", "int", LISTS, (("{x}", "{a}[:{k}]"),), ("numbers", "elements"),
           ("among the first {k} of a list", "in the first {k} places of a list"), "a list of integers",
           "in its first {k} places", list_of, draw=one("k", 2, 4)),
    Source("tail", "int", LISTS, (("{x}", "{a}[-{k}:]"),), ("numbers", "elements"),
           ("among the last {k} of a list", "in the last {k} places of a list"), "a list of integers",
           "in its last {k} places", list_of, draw=one("k", 2, 4)),
    Source("largest", "int", LISTS, (("{x}", "sorted({a})[-{k}:]"),), ("numbers", "elements"),
           ("among the {k} largest of a list in ascending order",), "a list of integers",
           "among its {k} largest in ascending order", list_of, draw=one("k", 2, 4)),
    Source("string", "char", (("s",), ("text",), ("string",), ("line",)), (("{x}", "{a}"),), ("characters",),
           ("of a string", "in a string", "in a given string"), "a string", "in it", text_of, listed=True),
    Source("words", "word", (("words",), ("strings",), ("names",), ("items",)), (("{x}", "{a}"),),
           ("words", "strings"), ("in a list", "of a list", "in a list of words"), "a list of words", "in it",
           list_of, listed=True),
    Source("sentence", "word", (("sentence",), ("text",), ("s",)), (("{x}", "{a}.split()"),), ("words",),
           ("of a sentence", "in a sentence", "in a text"), "a sentence", "in it", sentence),
    Source("keys", "word", (("d",), ("mapping",), ("table",)), (("{x}", "{a}"),), ("keys",),
           ("of a dictionary", "in a dict"), "a dictionary with string keys", "in it", word_keyed),
    Source("two_lists", "pair", (("a", "b"), ("xs", "ys"), ("first", "second")), (("{x}, {y}", "zip({a}, {b})"),),
           ("pairs",), ("of elements at the same place in two lists", "of corresponding elements of two lists"),
           "two lists of equal length", "of their elements at the same place", two_lists),
    Source("neighbours", "pair", LISTS, (("{x}, {y}", "zip({a}, {a}[1:])"),), ("pairs",),
           ("of neighbours in a list", "of adjacent numbers in a list"), "a list of integers", "of its neighbours",
           chained),
)
