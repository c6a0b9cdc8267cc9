"""What an audit adds to a run, from the times at which its steps were printed."""
import statistics
from dataclasses import dataclass

from measure.measurement import WARM_UP_STEPS


@dataclass(frozen=True)
class Cost:
    step_s: float   # of a step that neither audits nor comes behind one that does
    audit_s: float  # what an audit takes beside its step
    audits: int     # of which it is the median

    def share(self, every):
        """Of the time of a run that audits every so many steps and of nothing else: what audits add."""
        return self.audit_s / (every * self.step_s)


def cost_of(ended_s, every):
    """From the time at which each step ended, where step s audits if (s + 1) % every == 0.

    Ranks compare hashes, and wait for all that is under way, behind the end of an audited step: what the step behind it
    takes longer counts, too.
    """
    audits = lambda step: (step + 1) % every == 0
    steps = range(WARM_UP_STEPS, len(ended_s))
    plain = [ended_s[s] - ended_s[s - 1] for s in steps if not audits(s) and not audits(s - 1)]
    step_s = statistics.median(plain)
    added = [ended_s[s + 1] - ended_s[s - 1] - 2 * step_s for s in steps if audits(s) and s + 1 < len(ended_s)]
    return Cost(step_s, statistics.median(added), len(added))
