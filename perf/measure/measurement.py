"""What one run of one side gave, and the medians of several."""
import statistics
from dataclasses import dataclass, field

WARM_UP_STEPS = 2


@dataclass(frozen=True)
class Measurement:
    tokens_per_s: float
    step_s: float
    peak_bytes: int  # of the rank that has most
    # Only where our own side runs: from its log.
    model_flops: float = 0.0  # per second, of all ranks; recompute not counted
    register_flops: float = 0.0  # per second: what all threads together reach from registers alone
    exposed_share: float = 0.0  # communication that compute waited for, without skew, over the step
    notes: dict = field(default_factory=dict)  # what else the side said

    def peak_share(self):
        return self.model_flops / self.register_flops if self.register_flops else 0.0


def median_of(runs):
    """The median of each number on its own; of the register peak the highest, since other work on the machine only
    lowers it, and a low one would flatter us. The notes are the last run's."""
    names = ("tokens_per_s", "step_s", "peak_bytes", "model_flops", "exposed_share")
    return Measurement(**{name: statistics.median(getattr(run, name) for run in runs) for name in names},
                       register_flops=max(run.register_flops for run in runs), notes=runs[-1].notes)
