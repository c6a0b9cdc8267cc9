"""Tables, bounds that hold or do not, and a file in results/ that says where the numbers come from."""
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from measure import launch, machine


def table(header, rows):
    """A Markdown table that reads well as plain text, too. Numbers stand to the right."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    right = [all(is_number(row[i]) for row in cells[1:]) for i in range(len(header))]
    line = lambda row: "| " + " | ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right)) + " |"
    rule = "|" + "|".join("-" * (w + 1) + (":" if r else "-") for w, r in zip(widths, right)) + "|"
    return "\n".join([line(cells[0]), rule, *map(line, cells[1:])])


def is_number(text):
    return not text or text[0].isdigit() or text[0] == "-"


def say_progress(text):
    print(f"  {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Bound:
    """A number that must be at least, or at most, a limit."""
    what: str
    value: float
    limit: float
    at_least: bool

    def holds(self):
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self):
        sign = "at least" if self.at_least else "at most"
        return f"{'PASS' if self.holds() else 'FAIL'}  {self.what}: {self.value:.3f}, {sign} {self.limit}"


class Report:
    """Says things at once and keeps them for a file."""

    def __init__(self, title):
        self.title = title
        self.bounds = []
        self._text = []

    def say(self, text=""):
        print(text, flush=True)
        self._text.append(text)

    def bound(self, what, value, *, at_least=None, at_most=None):
        limit = at_most if at_least is None else at_least
        self.bounds.append(Bound(what, value, limit, at_least is not None))
        self.say(f"- {self.bounds[-1]}")

    def finish(self, save_as=""):
        """Writes results/NAME.md where a name is given; the exit code: 1 where a bound does not hold."""
        failed = sum(not bound.holds() for bound in self.bounds)
        if self.bounds:
            self.say(f"\n{len(self.bounds) - failed} bounds hold, {failed} do not")
        if save_as:
            path = launch.ROOT / "perf" / "results" / f"{save_as}.md"
            path.write_text(self._header() + "\n".join(self._text).strip("\n") + "\n")
            print(f"written to {path.relative_to(launch.ROOT)}")
        return 1 if failed else 0

    def _header(self):
        script = Path(sys.argv[0]).name
        return (f"# {self.title}\n\n{machine.facts()} Command:\n`perf/{shlex.join([script, *sys.argv[1:]])}`\n\n")
