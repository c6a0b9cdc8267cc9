"""Reads trace.json: when each op of a step was to run, and when it did."""
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class KindTime:
    """All ops of one kind on one stream."""
    stream: str
    kind: str
    count: int
    planned_ms: float
    measured_ms: float

    def is_planned(self):
        """Whether the plan has a cost for this kind: 1 us an op, and a few bytes, are none."""
        return self.planned_ms > 2e-3 * self.count


class Trace:
    """A trace as `trireme train` writes it: one process of planned spans and one of measured spans.

    Errors: ValueError where one of the two is missing.
    """

    def __init__(self, path):
        events = json.loads(path.read_text())["traceEvents"]
        self.streams = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
        self.planned = self._spans(events, "planned")
        self.measured = self._spans(events, "measured")

    @staticmethod
    def _spans(events, what):
        for event in events:
            if event["name"] == "process_name" and what in event["args"]["name"]:
                return [span for span in events if span["ph"] == "X" and span["pid"] == event["pid"]]
        raise ValueError(f"the trace has no {what} timeline")

    def by_kind(self):
        """A KindTime per stream and kind, those that took longest first."""
        sums = {}
        for which, spans in enumerate((self.planned, self.measured)):
            for span in spans:
                entry = sums.setdefault((span["tid"], span["args"]["kind"]), [0, 0.0, 0.0])
                entry[0] += which  # every op is in both
                entry[1 + which] += span["dur"] / 1000
        times = [KindTime(self.streams[stream], kind, *entry) for (stream, kind), entry in sums.items()]
        return sorted(times, key=lambda time: (time.stream != "compute", -time.measured_ms))

    def collectives(self):
        """(kind, unit, bytes) of every gather and reduce, in the order of the program."""
        arguments = (span["args"] for span in self.planned)
        return [(a["kind"], a["unit"], a["bytes"]) for a in arguments if a["kind"] in ("gather", "reduce")]

    @staticmethod
    def length_ms(spans):
        return (max(span["ts"] + span["dur"] for span in spans) - min(span["ts"] for span in spans)) / 1000


def planned_against_measured(trace):
    """Rows for a table: one per stream and kind, then the whole step."""
    rows = [(time.stream, time.kind, time.count, f"{time.planned_ms:.1f}", f"{time.measured_ms:.1f}",
             f"{time.measured_ms / time.planned_ms:.2f}" if time.is_planned() else "") for time in trace.by_kind()]
    planned, measured = trace.length_ms(trace.planned), trace.length_ms(trace.measured)
    return rows + [("both", "whole step", len(trace.planned), f"{planned:.1f}", f"{measured:.1f}", f"{measured / planned:.2f}")]


HEADER = ("stream", "kind", "ops", "planned ms", "measured ms", "measured / planned")
