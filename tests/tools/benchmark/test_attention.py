import json

from click.testing import CliRunner

from gopseg.tools.benchmark.commands import attention as main


def test_times_both_forms_and_compares_them():
    arguments = ["--shape", "8x20x30", "--values", "5", "--window", "5", "--repeat", "2", "--definition"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures["shape"] == [8, 20, 30]
    assert figures["tiled"]["seconds"] > 0
    assert figures["definition"]["processor_seconds"] > 0
    assert 0 < figures["tiled"]["largest_difference"] < 1e-5


def test_bad_usage():
    for arguments, reason in [(["--shape", "8x20"], "is not CxHxW"), (["--window", "4"], "must be odd")]:
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2
        assert reason in result.output
