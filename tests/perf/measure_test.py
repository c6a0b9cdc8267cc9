"""What the scripts of perf/ stand on. usage: measure_test.py TRIREME"""
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "perf"))

from measure import audit, bounds, launch, planned, trireme, zero  # noqa: E402
from measure.case import CASES  # noqa: E402
from measure.measurement import Measurement, median_of  # noqa: E402
from measure.report import Report, table  # noqa: E402
from measure.timeline import Trace, planned_against_measured  # noqa: E402
from sample_memory import PeakSampler  # noqa: E402

TRIREME = Path(sys.argv.pop()) if len(sys.argv) > 1 else launch.TRIREME
MIB = 1 << 20
# A process that holds so many MiB until a file is gone.
HOLD = (f"import os, time; x = bytearray({{}} * {MIB}); x[::4096] = b'1' * len(x[::4096])\n"
        "while os.path.exists('{}'): time.sleep(0.01)")


def measurement(tokens_per_s, peak_mib, peak_share=0.0):
    return Measurement(tokens_per_s=tokens_per_s, step_s=1 / tokens_per_s, peak_bytes=peak_mib * MIB,
                       model_flops=1e9 * peak_share, register_flops=1e9)


class SampleMemory(unittest.TestCase):
    def peaks(self, command, expected, name=""):
        """Of a command whose processes hold `expected` bytes by rank until they were seen to."""
        with tempfile.NamedTemporaryFile() as hold:
            launcher = subprocess.Popen(command(hold.name), env=launch.environment())
            sampler = PeakSampler(launcher.pid, name).start()
            patience = time.monotonic() + 60
            while time.monotonic() < patience and not any(
                    all(held.get(rank, 0) >= least for rank, least in expected.items()) for _, held, _ in sampler.samples):
                time.sleep(0.05)
        launcher.wait()
        return sampler, sampler.stop()

    def test_finds_each_rank_below_the_launcher_and_what_it_held(self):
        def command(hold):
            ranks = " & ".join(f"RANK={rank} {sys.executable} -c \"{HOLD.format(mib, hold)}\"" for rank, mib in ((0, 100), (1, 200)))
            return ["sh", "-c", f"{ranks} & wait"]

        sampler, peaks = self.peaks(command, {0: 100 * MIB, 1: 200 * MIB})
        self.assertEqual(sorted(peaks), [0, 1])
        # The interpreter itself holds less than 40 MiB.
        self.assertTrue(100 * MIB <= peaks[0] <= 140 * MIB, peaks)
        self.assertTrue(200 * MIB <= peaks[1] <= 240 * MIB, peaks)
        self.assertLessEqual(sampler.node_peak(), sum(peaks.values()))

    def test_by_name_finds_a_process_without_a_rank(self):
        python = os.path.realpath(sys.executable)
        _, peaks = self.peaks(lambda hold: [python, "-c", HOLD.format(50, hold)], {0: 50 * MIB}, os.path.basename(python))
        self.assertGreaterEqual(peaks[0], 50 * MIB)


class Timeline(unittest.TestCase):
    def trace(self, processes):
        events = [{"name": "thread_name", "ph": "M", "pid": 0, "tid": 0, "args": {"name": "compute"}}]
        for pid, (name, spans) in enumerate(processes):
            events.append({"name": "process_name", "ph": "M", "pid": pid, "tid": 0, "args": {"name": name}})
            events += [{"name": kind, "ph": "X", "pid": pid, "tid": 0, "ts": start, "dur": length, "args": {"kind": kind}}
                       for kind, start, length in spans]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trace.json"
            path.write_text(json.dumps({"traceEvents": events}))
            return Trace(path)

    def test_sums_ops_of_a_kind_planned_and_measured(self):
        trace = self.trace([("rank 0 planned", [("forward", 0, 1000), ("forward", 1000, 1000), ("update", 2000, 1)]),
                            ("rank 0 measured, last step", [("forward", 5, 2000), ("forward", 2005, 3000), ("update", 5005, 500)])])
        self.assertEqual(planned_against_measured(trace),
                         [("compute", "forward", 2, "2.0", "5.0", "2.50"), ("compute", "update", 1, "0.0", "0.5", ""),
                          ("both", "whole step", 3, "2.0", "5.5", "2.75")])

    def test_without_measured_spans_is_an_error(self):
        with self.assertRaisesRegex(ValueError, "measured"):
            self.trace([("rank 0 planned", [("forward", 0, 1)])])


class Reports(unittest.TestCase):
    def judge(self, medians):
        report = Report("a test")
        with contextlib.redirect_stdout(io.StringIO()) as said:
            bounds.judge(CASES["gpt2-124m"], medians, report)
            code = report.finish()
        return code, said.getvalue()

    def test_a_bound_that_does_not_hold_fails_the_run(self):
        code, said = self.judge({"trireme": measurement(249, 54, 0.71), "fsdp2": measurement(100, 100)})
        self.assertEqual((code, said.count("FAIL"), said.count("PASS")), (1, 1, 2))

    def test_only_sides_that_ran_are_judged(self):
        code, said = self.judge({"trireme": measurement(250, 55, 0.71), "fsdp2": measurement(100, 100)})
        self.assertEqual((code, said.count("FAIL"), said.count("PASS")), (0, 0, 3))
        self.assertNotIn("recompute", said)

    def test_medians_are_taken_per_number(self):
        median = median_of([measurement(1, 9), measurement(3, 7), measurement(2, 8)])
        self.assertEqual((median.tokens_per_s, median.peak_bytes), (2, 8 * MIB))

    def test_of_register_peaks_the_highest_counts(self):
        runs = [Measurement(tokens_per_s=1, step_s=1, peak_bytes=1, model_flops=6.0, register_flops=peak) for peak in (7.0, 10.0, 8.0)]
        self.assertEqual(median_of(runs).peak_share(), 0.6)

    def test_tables_align(self):
        lines = table(("name", "n"), [("a", 1), ("long name", 100)]).splitlines()
        self.assertEqual({len(line) for line in lines}, {len(lines[0])})


class ZeroFormulas(unittest.TestCase):
    counts = zero.Counts(whole=1000, psi=1000, uses=1700, gradients=1000)  # untied

    def held(self, stage, ranks):
        of_kinds = zero.states(stage, self.counts, ranks)
        return sum(total for kind, (_, total) in of_kinds.items() if kind != "sums") / ranks

    def test_states_are_the_papers_bytes_a_parameter(self):
        # Gradients of stages 2 and 3 live during a step alone: without the paper's 2 psi/N.
        self.assertEqual([self.held(zero.Stage(stage), 4) for stage in range(4)],
                         [16 * 1000, (4 + 12 / 4) * 1000, (2 + 12 / 4) * 1000, (2 + 12) / 4 * 1000])
        self.assertEqual(self.held(zero.Stage(3, 2, node_shard=True), 4), (2 / 2 + 12 / 4) * 1000)

    def test_wire_of_a_step_grows_with_rounds_where_uses_are_gathered(self):
        gathered = [[zero.gathers(zero.Stage(stage), self.counts, 4, rounds)[1] for stage in range(4)] for rounds in (1, 2)]
        self.assertEqual(gathered, [[12000, 6000, 6000, 10200], [12000, 6000, 6000, 20400]])
        self.assertEqual(zero.reduces(self.counts, 4, 2)[1], 2 * 2 * 1000 * 3)
        self.assertEqual(zero.gathers(zero.Stage(0), self.counts, 1, 1)[1], 0)

    def test_node_shard_takes_parameters_once_a_step_from_other_nodes(self):
        node, plain = zero.Stage(3, 2, node_shard=True), zero.Stage(3, 2)
        reduced = 2 * 1000 * 2
        self.assertEqual(zero.messages(node, self.counts, 4, 1)[1], reduced + 2 * 1000)
        self.assertEqual(zero.messages(plain, self.counts, 4, 1)[1], reduced + 2 * 1700 * 2)
        self.assertEqual([zero.own_slices(*layout) for layout in ((4, 2), (6, 3), (3, 3), (1, 1))], [2, 2, 3, 1])

    def test_the_layout_pads_no_more_than_its_rule_allows(self):
        for case in CASES.values():
            for ranks in (1, 2, 3, 7, 64):
                paper, layout = zero.Counts.of_paper(case.model, case.tokens), zero.Counts.of_layout(case.model, case.tokens, ranks)
                self.assertTrue(paper.psi <= layout.whole <= layout.psi, case.name)
                self.assertLessEqual(layout.psi - paper.psi, zero.largest_padding(case.model, case.tokens, ranks))

    def test_last_lines_of_a_run_are_read(self):
        said = ("memory of rank 0: planned 1 KiB (1024 bytes), measured 2 KiB (2048 bytes), +100.0%\n"
                "memory of node a: planned 1 KiB (1024 bytes), measured 3 KiB (3072 bytes), +200.0%\n"
                "wire of a step: gathers 10 bytes, reduces 20 bytes, of both 5 bytes by messages\n"
                "wire of the run: planned 100 bytes in place and 50 by messages, measured 101 and 51\n")
        self.assertEqual((planned.own_measure(said), planned.wire_of_step(said), planned.wire_of_run(said)),
                         (3072, (10, 20, 5), (101, 51)))
        with self.assertRaisesRegex(RuntimeError, "wire of a step"):
            planned.wire_of_step("")


class AuditCost(unittest.TestCase):
    def test_counts_what_the_step_behind_an_audit_waits_for(self):
        # Steps of 1 s; an audit takes 0.7 s more in its step and 0.2 s in the next.
        ended, now = [], 0.0
        for step in range(21):
            now += 1 + (0.7 if (step + 1) % 5 == 0 else 0) + (0.2 if step and step % 5 == 0 else 0)
            ended.append(now)
        cost = audit.cost_of(ended, 5)
        self.assertAlmostEqual(cost.step_s, 1)
        self.assertAlmostEqual(cost.audit_s, 0.9)
        self.assertEqual(cost.audits, 4)
        self.assertAlmostEqual(cost.share(100), 0.009)


class OurSide(unittest.TestCase):
    def test_every_case_is_a_configuration_that_plans(self):
        for case in CASES.values():
            config = trireme.write_config(case, trireme.Layout(recompute="block"), steps=3)
            subprocess.run([TRIREME, "plan", config, "--ranks", "2"], check=True, capture_output=True)

    def test_a_key_of_another_version_is_told_from_one_of_this(self):
        self.assertTrue(trireme.knows_key(TRIREME, CASES["gpt2-tiny"], "--parallel.prefetch=2"))
        self.assertFalse(trireme.knows_key(TRIREME, CASES["gpt2-tiny"], "--parallel.nothing=2"))

    def test_exposed_communication_is_what_the_log_says_beside_skew(self):
        self.assertEqual(trireme.exposed_share({"exposed_comm_ms": 3.0, "skew_ms": 5.0, "step_ms": 100.0}), 0.03)

    def test_a_run_is_measured(self):
        run = trireme.run(trireme.Program(TRIREME), CASES["gpt2-tiny"], trireme.Layout(), steps=4)
        self.assertGreater(run.tokens_per_s, 0)
        self.assertGreater(run.peak_share(), 0)
        self.assertGreater(run.peak_bytes, MIB)
        self.assertEqual(len(run.notes["exposed"]), 2)
        trace = run.notes["trace"]
        self.assertIn("forward", [time.kind for time in trace.by_kind()])
        # The tables, two blocks, norm and head.
        self.assertEqual(sorted({unit for _, unit, _ in trace.collectives()}), [0, 1, 2, 3])
        self.assertTrue(all(size > 0 for _, _, size in trace.collectives()))


if __name__ == "__main__":
    unittest.main()
