#!/usr/bin/env python3
"""The shape of the product's code: lines of 120 columns at most, files of 400 lines, functions of 60, constructors of
five arguments. usage: shape.py (from the root)"""
import pathlib
import re
import sys

COLUMNS, FILE_LINES, FUNCTION_LINES, ARGUMENTS = 120, 400, 60, 5
PRODUCT = ["runtime", "comm", "shard", "models", "optim", "launch", "perf"]
NO_FUNCTION = re.compile(
    r"\s*(struct|class|namespace|enum|union|extern|template|if|for|while|switch|else|do|case|default|constexpr"
    r"|static constexpr|inline constexpr|const|return|try|catch)\b")


def sources(folders):
    return sorted(p for f in folders for p in pathlib.Path(f).rglob("*") if p.suffix in (".h", ".cpp"))


def long_functions(lines):
    """(line, length) of each function, or method in its class, that is too long: by the indentation that the format gives."""
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if not line.strip() or indent > 4 or line.lstrip()[0] in "}#/:)" or NO_FUNCTION.match(line):
            continue
        head = next((j for j in range(i, min(i + 12, len(lines))) if lines[j].endswith(("{", ";", "}"))), i)
        if not lines[head].endswith("{"):
            continue
        end = next((j for j in range(head + 1, len(lines)) if lines[j].startswith(" " * indent + "}")), head)
        if end - i > FUNCTION_LINES:
            yield i + 1, end - i


def arguments(text, start):
    """How many arguments stand behind the parenthesis before `start`; 0 where it is none of a declaration."""
    depth, commas, empty = 1, 0, True
    for i in range(start, len(text)):
        c = text[i]
        if c in "(<{[":
            depth += 1
        elif c in ")>}]" and text[i - 1] != "-":
            depth -= 1
            if depth == 0:
                return 0 if empty else commas + 1
        elif c == "," and depth == 1:
            commas += 1
        elif not c.isspace():
            empty = False
    return 0


def constructors(text):
    """(name, arguments) of each constructor that a class of this file declares."""
    code = re.sub(r"//[^\n]*", "", text)
    for name in set(re.findall(r"\b(?:class|struct) (\w+)[^;{(]*\{", code)):
        for found in re.finditer(r"(?:^|\n) +(?:explicit |constexpr )*" + name + r"\(", code):
            yield name, arguments(code, found.end())


def main():
    failures = 0

    def fail(message):
        nonlocal failures
        failures += 1
        print(f"FAILED: {message}")

    for path in sources(PRODUCT + ["tests"]):
        is_test = path.parts[0] == "tests"
        text = path.read_text()
        lines = text.splitlines()
        raw = False  # inside of a raw string, whose lines are data
        for number, line in enumerate(lines, 1):
            if not raw and 'R"' not in line and len(line) > COLUMNS:
                fail(f"{path}:{number}: {len(line)} columns, at most {COLUMNS}")
            raw = 'R"' in line.split(')"')[-1] if 'R"' in line else raw and ')"' not in line
        if is_test:
            continue
        if len(lines) > FILE_LINES:
            fail(f"{path}: {len(lines)} lines, at most {FILE_LINES}")
        for number, length in long_functions(lines):
            fail(f"{path}:{number}: a function of {length} lines, at most {FUNCTION_LINES}")
        for name, count in constructors(text):
            if count > ARGUMENTS:
                fail(f"{path}: a constructor of {name} with {count} arguments, at most {ARGUMENTS}: a struct says more")
    print(f"{failures} failed")
    return failures != 0


sys.exit(main())
