"""The judge's side: lets the program run when its tests can (tests.py), asks it over pipes (remote.py), and gives the
verdict."""
import os
import sys

import codec
from comparing import shown
from remote import SHOWN, Channel, Stop, vars_of
from survey import Broken, by_itself, failed_test
from tests import Tests

TRACELESS = frozenset(("PASS", "WRONG", "ERROR", "NO_ENTRY", "SYNTAX"))
DIGITS = 100_000  # of an integer as text, which takes quadratic time; tests are read without a limit


def verdict_of(job, channel, say):
    try:
        sys.set_int_max_str_digits(0)
        tests = Tests(job, channel)
        sys.set_int_max_str_digits(DIGITS)
        tests.rehearse()
        channel.begin(tests.prelude)
        tests.run()
        channel.begun()  # where nothing was asked of it
        if not channel.stopped and tests.to_be_asked_again():
            say("HELD", "")
            tests.ask_again()
        if channel.stopped:
            raise channel.stopped
        return "PASS", ""
    except Stop as stop:
        return stop.verdict, stop.detail
    except Broken as why:
        return "BROKEN", str(why)
    except BaseException as error:
        return verdict_of_exception(error, channel)


def verdict_of_exception(error, channel):
    if channel.stopped:
        return channel.stopped.verdict, channel.stopped.detail
    of_program = vars_of(error).get("of_program")
    if of_program:
        return of_program[:2]
    exhausted = isinstance(error, (MemoryError, RecursionError))
    channel.clean = channel.clean and not exhausted
    # Nothing of the program has reached the code that failed, so the program has no part in it.
    if not exhausted and (not channel.heard or by_itself(error, channel.surveys)):
        return "BROKEN", failed_test(error)
    return "WRONG", (failed_test(error) + after_override(channel))[:2 * SHOWN]


def after_override(channel):
    return "; asked again, the program answered otherwise" if channel.overrides else ""


def judge(job, requests, replies, verdicts):
    """Writes the verdict. True when this process is as it was before, and may judge another program."""
    channel = Channel(requests, replies, bytes.fromhex(job["tag"]))

    def say(verdict, detail):
        os.write(verdicts, codec.json_text([verdict, codec.utf8_text(detail[:1000])]) + b"\n")
    try:
        verdict, detail = verdict_of(job, channel, say)
        if verdict == "WRONG" and channel.last is not None and "found" not in detail:
            detail += f"; the last result was {shown(channel.last[0])}"
        say(verdict, detail)
    except BrokenPipeError:
        return False  # the supervisor has ended this run without us
    return channel.clean and verdict in TRACELESS
