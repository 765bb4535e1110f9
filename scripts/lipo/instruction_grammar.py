"""The pocket task of lipo and the instructions that name it, well or badly.

A question is a row of six different digits; which of them is the answer, the instruction says. It may name a place or an
extreme (the largest, the first), a parity, and a limit; whatever it leaves open is free: without a parity all digits count,
without a limit too, and without a place the first digit that counts is the answer. So error falls step by step with what an
instruction says, in hundreds of wordings. The task that lipo searches an instruction for is TARGET.
"""

from dataclasses import dataclass

DIGITS = 6  # of a question, all different
NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

PLACES = {
    "largest": ("largest", "biggest", "greatest", "highest", "maximum", "top"),
    "smallest": ("smallest", "least", "lowest", "minimum", "tiniest"),
    "first": ("first", "leftmost", "earliest", "initial"),
    "last": ("last", "final", "rightmost", "closing"),
}
PARITIES = {
    # Before the noun, behind it, and as a rule of its own.
    "even": (("even", "even"), ("divisible by two", "that is even", "that halves evenly"), ("skip the odd ones", "odd ones do not count")),
    "odd": (("odd", "odd", "uneven"), ("not divisible by two", "that is odd"), ("skip the even ones", "even ones do not count")),
}
BELOW = ("below {n}", "less than {n}", "under {n}", "smaller than {n}")
ABOVE = ("above {n}", "more than {n}", "over {n}", "greater than {n}")
NOUNS = ("number", "number", "digit", "value", "entry", "figure")
VERBS = ("find", "give", "name", "report", "write", "return", "pick", "choose", "select", "state")
LISTS = ("in the list", "in the row", "of the list", "from the list", "in the sequence", "among these", "")


@dataclass(frozen=True)
class Meaning:
    place: str = ""  # "": not said
    parity: str = ""
    limit: tuple = ()  # ("below", 7)

    def counts(self, digit):
        if self.parity and digit % 2 != (self.parity == "odd"):
            return False
        if not self.limit:
            return True
        return digit < self.limit[1] if self.limit[0] == "below" else digit > self.limit[1]

    def answer(self, digits):
        """The digit that is asked for; None where none counts."""
        left = [d for d in digits if self.counts(d)]
        if not left:
            return None
        return {"largest": max, "smallest": min, "last": lambda x: x[-1]}.get(self.place, lambda x: x[0])(left)


TARGET = Meaning("largest", "even", ("below", 7))
HAND_WRITTEN = "Find the largest even number below seven in the list."


def draw_meaning(rng):
    """What an instruction says: each part is said about every other time."""
    place = rng.choice(tuple(PLACES)) if rng.random() < 0.6 else ""
    parity = rng.choice(tuple(PARITIES)) if rng.random() < 0.5 else ""
    limit = ()
    if rng.random() < 0.45:
        limit = ("below", rng.randint(4, 8)) if rng.random() < 0.5 else ("above", rng.randint(1, 5))
    return Meaning(place, parity, limit)


class Wording:
    """One way to say a meaning."""

    def __init__(self, meaning, rng):
        self.meaning, self.rng = meaning, rng
        self.rules = []  # said apart from the noun phrase

    def limit(self):
        words = BELOW if self.meaning.limit[0] == "below" else ABOVE
        return self.rng.choice(words).format(n=NUMBER_WORDS[self.meaning.limit[1]])

    def noun_phrase(self, article=True):
        rng, m = self.rng, self.meaning
        before = [rng.choice(PLACES[m.place])] if m.place else []
        behind = []
        if m.parity:
            front, back, rule = PARITIES[m.parity]
            form = rng.random()
            if form < 0.6:
                before.append(rng.choice(front))
            elif form < 0.85:
                behind.append(rng.choice(back))
            else:
                self.rules.append(rng.choice(rule))
        if m.limit:
            if rng.random() < 0.85:
                behind.append(self.limit())
            else:
                self.rules.append(f"only count those {self.limit()}")
        words = before + [rng.choice(NOUNS)] + [" and ".join(behind)]
        return " ".join(w for w in ["the" if article else ""] + words if w)

    def steps(self):
        """The same as steps one after the other."""
        rng, m = self.rng, self.meaning
        out = []
        if m.parity:
            out.append(rng.choice((f"keep the {m.parity} numbers", f"look only at the {m.parity} numbers", f"drop the {'odd' if m.parity == 'even' else 'even'} numbers")))
        if m.limit:
            out.append(rng.choice((f"keep those {self.limit()}", f"look only at those {self.limit()}")))
        if m.place:
            out.append(f"{rng.choice(('take', 'choose', 'answer with'))} the {rng.choice(PLACES[m.place])}")
        return out


def capital(text):
    return text[:1].upper() + text[1:]


def with_rules(wording, sentence):
    return " ".join([sentence] + [capital(rule) + "." for rule in wording.rules])


def vague(style, rng):
    return rng.choice({
        "minimalist": ("Solve:", "Answer:", "Find:", "Result:", "Number:", "Reply:", "Give one number."),
        "direct_command": ("Find the answer to this problem.", "Answer the question with a single number.", "Read the list and give the right number.", "Work out the correct value and write it down."),
        "chain_of_thought": ("Let's think step by step.", "Think it through step by step and then answer.", "Take it one step at a time.", "Let's go slowly and check each step."),
        "pedagogical": ("You are a patient teacher. Explain the answer to a student.", "Help the student find the right number.", "Show a beginner how to answer this."),
        "analytical": ("Analyze the structure of the list and answer.", "Examine each value carefully, then report the result.", "Consider every entry and compare them."),
    }[style])


def minimalist(w):
    phrase = w.noun_phrase(article=False)
    w.rules = w.rules[:1]
    return capital(with_rules(w, phrase + w.rng.choice((".", ":", "")))).strip()


def direct_command(w):
    rng = w.rng
    phrase, place = w.noun_phrase(), rng.choice(LISTS)
    lead = rng.choice(("", "", "please ", "look at the list and ", "read the row and ", "now "))
    return with_rules(w, capital(" ".join(f"{lead}{rng.choice(VERBS)} {phrase} {place}".split()) + "."))


def chain_of_thought(w):
    rng = w.rng
    if w.meaning == Meaning() or rng.random() < 0.5:
        lead = rng.choice(("Let's think step by step and", "Think step by step, then", "Step by step,", "Take it slowly and"))
        return with_rules(w, f"{lead} {rng.choice(VERBS)} {w.noun_phrase()}.")
    steps = w.steps()
    joined = rng.choice((", then ", ", and then ", "; then ")).join(steps)
    return rng.choice(("Let's think step by step: {0}.", "First {0}.", "Step by step: {0}.")).format(joined)


def pedagogical(w):
    rng = w.rng
    lead = rng.choice(("You are a patient teacher. Show the student", "As a tutor, point out", "Help the student to find", "Teach a beginner to pick", "You are a kind tutor. Tell the class"))
    return with_rules(w, f"{lead} {w.noun_phrase()}{rng.choice(('', ' in the list', ' in the row'))}.")


def analytical(w):
    rng = w.rng
    lead = rng.choice(("Examine the list and report", "Compare all the values and give", "Check each number, then state", "Analyze the row and identify", "Consider every entry and determine"))
    return with_rules(w, f"{lead} {w.noun_phrase()}.")


STYLES = {"minimalist": minimalist, "direct_command": direct_command, "chain_of_thought": chain_of_thought, "pedagogical": pedagogical, "analytical": analytical}


def instruction(meaning, style, rng):
    """The meaning in words of a style; one that says nothing is as vague as people write them."""
    if meaning == Meaning():
        return vague(style, rng)
    return STYLES[style](Wording(meaning, rng))


def draw_question(rng, meaning=None):
    """Digits, of which at least one is what `meaning` asks for."""
    while True:
        digits = rng.sample(range(10), DIGITS)
        if meaning is None or meaning.answer(digits) is not None:
            return digits
