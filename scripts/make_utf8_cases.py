#!/usr/bin/env python3
"""Writes tests/base/utf8_cases.txt: byte strings in hex, and what Python's decoder makes of them.

    scripts/make_utf8_cases.py > tests/base/utf8_cases.txt

The cases follow Markus Kuhn's UTF-8 decoder stress test, plus every pair of border bytes and seeded noise.
Each line: bytes, the same with errors="replace" as UTF-8, offset of the first bad byte (-1: none).
"""
import itertools
import random

KUHN = [
    b"", b"abc", "\u03ba\u1f79\u03c3\u03bc\u03b5".encode(), b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80",
    b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf7\xbf\xbf\xbf", b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xf4\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80", b"\x80", b"\xbf", b"\x80\xbf\x80\xbf\x80\xbf\x80", bytes(range(0x80, 0xC0)),
    b"".join(bytes([c, 0x20]) for c in range(0xC0, 0x100)), b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xdf",
    b"\xef\xbf", b"\xf7\xbf\xbf", b"\xf0\x90\x80", b"\xf0\x90", b"\xe2\x82A", b"\xf1\x80\x80A", b"\xfe", b"\xff",
    b"\xfe\xfe\xff\xff", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf", b"\xc1\xbf",
    b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xc0\x80", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80",
    b"\xef\xbf\xbe", b"\xef\xbb\xbfA", b"a\xf1\x80\x80\xe1\x80\xc2b\x80c\x80\xbfd",
]


def main():
    border = [0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC1, 0xC2, 0xDF, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5]
    cases = KUHN + [bytes(pair) + b"\x80\x80" for pair in itertools.product(border, repeat=2)]
    noise = random.Random(1)
    cases += [bytes(noise.choice(border) for _ in range(noise.randint(3, 12))) for _ in range(300)]
    for case in cases:
        try:
            case.decode()
            bad = -1
        except UnicodeDecodeError as error:
            bad = error.start
        print(case.hex() or "-", case.decode(errors="replace").encode().hex() or "-", bad)


if __name__ == "__main__":
    main()
