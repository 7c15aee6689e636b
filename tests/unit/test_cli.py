"""The command line itself: quick help, usage errors, one sentence for a mistake."""

import io
import json
import signal
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner

from skymix.cli import cli, program
from skymix.errors import DataError
from skymix.study.default import DEFAULT_STUDY

HEAVY = ("numpy", "scipy", "astropy", "gammapy", "dynesty", "matplotlib", "numba", "xarray", "h5py")
STAGES = [name for name, command in cli.commands.items() if name != "warm-up"]


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(DEFAULT_STUDY, sort_keys=False), encoding="utf-8")
    return str(path)


def run_main(monkeypatch, *arguments):
    """Exit code of the real entry point; signal handlers are left alone."""
    monkeypatch.setattr(program, "_stop_by_signal", list)
    monkeypatch.setattr(sys, "argv", ["skymix", *arguments])
    with pytest.raises(SystemExit) as stopped:
        program.main()
    return stopped.value.code


@pytest.mark.parametrize("arguments", [["--help"], ["sample-posterior", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys; sys.argv = ['skymix', *sys.argv[1:]]\n"
        "from skymix.cli import main\n"
        "try: main()\n"
        f"finally: print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert "skymix" in done.stdout


@pytest.mark.parametrize("name", STAGES)
def test_every_command_explains_itself(name):
    done = CliRunner().invoke(cli, [name, "--help"])
    assert done.exit_code == 0
    text = cli.commands[name].help
    assert text.rstrip().endswith(".")
    assert text.split("\n")[0] in done.output


def test_commands_are_listed_in_the_order_of_an_analysis():
    text = CliRunner().invoke(cli, ["--help"]).output
    order = ["validate", "read-events", "marginalise-nuisance", "sample-posterior", "make-report"]
    places = [text.index(f"\n  {name}") for name in order]
    assert places == sorted(places)
    assert "warm-up" not in text
    assert "freeze-study" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample"], "No such command 'sample'"),
        (["validate"], "Missing argument 'STUDY'"),
        (["tabulate-response", "s.yaml", "run"], "Missing option '-o'"),
        (["validate", "s.yaml", "--fast"], "No such option"),
    ],
)
def test_wrong_usage_exits_with_2(monkeypatch, capsys, arguments, message):
    assert run_main(monkeypatch, *arguments) == 2
    assert message in capsys.readouterr().err


def test_validate(study):
    done = CliRunner().invoke(cli, ["validate", study])
    assert done.exit_code == 0
    assert done.output == (
        f"{study}: valid. Study 'galactic_centre': 1 observation, 4 components,"
        " 1 scanned parameters.\n"
    )


def test_mistake_is_one_sentence_and_exit_code_1(monkeypatch, capsys, tmp_path):
    missing = tmp_path / "none.yaml"
    assert run_main(monkeypatch, "validate", str(missing)) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (f"skymix: error: {missing}: no such study file; give the path of a YAML file\n")


def test_json_that_is_none(monkeypatch, capsys, tmp_path):
    output = tmp_path / "study.yaml"
    monkeypatch.setattr(sys, "stdin", io.StringIO("{name"))
    assert run_main(monkeypatch, "freeze-study", "-o", str(output)) == 1
    assert "skymix: error: standard input: not JSON (" in capsys.readouterr().err
    assert not output.exists()


def test_frozen_study_is_the_study(tmp_path, study):
    output = tmp_path / "frozen.yaml"
    arguments = ["freeze-study", "-o", str(output)]
    done = CliRunner().invoke(cli, arguments, input=json.dumps(DEFAULT_STUDY))
    assert done.exit_code == 0
    assert CliRunner().invoke(cli, ["validate", str(output)]).exit_code == 0


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (DataError("e.h5: broken; mend it"), "e.h5: broken; mend it"),
        (MemoryError("Unable to allocate 9 TiB"), "not enough memory (Unable to allocate 9 TiB); "),
        (OSError(28, "No space left on device"), "the output: No space left on device; nothing"),
        (PermissionError(13, "Permission denied", "a/b.h5"), "a/b.h5: Permission denied; nothing"),
        (OSError(21, "Is a directory", "/a/.out.x.part", None, "/a/out"), "/a/out: Is a directory"),
    ],
)
def test_errors_become_one_sentence(monkeypatch, capsys, study, error, sentence):
    def fail(*_):
        raise error

    monkeypatch.setattr("skymix.study.load.load_any_study", fail)
    assert run_main(monkeypatch, "validate", study) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"skymix: error: {sentence}")
    assert err.count("\n") == 1


def test_fault_of_the_program_keeps_its_traceback(monkeypatch, study):
    def fail(_):
        raise ZeroDivisionError

    monkeypatch.setattr("skymix.study.load.load_any_study", fail)
    monkeypatch.setattr(program, "_stop_by_signal", list)
    monkeypatch.setattr(sys, "argv", ["skymix", "validate", study])
    with pytest.raises(ZeroDivisionError):
        program.main()


WRITING = """
import sys, time
from skymix.cli import cli, main
from skymix.store.base import atomic_path

@cli.command()
def hang():
    with atomic_path("out.h5") as part:
        part.write_text("half of it")
        print("writing", flush=True)
        time.sleep(60)

sys.argv = ["skymix", "hang"]
main()
"""


SWALLOWING = """
import sys, time
from skymix.cli import cli, main

class Deaf:
    def __del__(self):
        print("writing", flush=True)
        time.sleep(60)

@cli.command()
def hang():
    Deaf()
    time.sleep(60)

sys.argv = ["skymix", "hang"]
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("program", "files"), [(WRITING, 1), (SWALLOWING, 0)])
def test_signal_while_writing_leaves_nothing(tmp_path, number, program, files):
    """Also where Python drops the exception, as in a finalizer."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "writing\n"
    assert len(list(tmp_path.iterdir())) == files
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert err == f"skymix: stopped by {number.name}; run again\n"
    assert list(tmp_path.iterdir()) == []


def test_ignored_signal_stays_ignored(monkeypatch):
    """As under nohup."""
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        program._stop_by_signal()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, signal.SIG_IGN)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
