import pytest

from crucible.definition.portability import is_temporary
from tests.definition.projects import experiment_yaml, load_yaml

SHA256 = "0" * 64


def warnings_of(folder, **fields):
    loaded = load_yaml(folder, experiment_yaml(**fields))
    return {problem.path: problem.message for problem in loaded.warnings}


def test_a_portable_experiment_draws_no_warning(tmp_path):
    datasets = f"{{digits: digits, table: {{source: data/table.csv, digest: '{SHA256}'}}}}"
    assert warnings_of(tmp_path, datasets=datasets, output_dir="results") == {}


@pytest.mark.parametrize(
    "path", ["/home/me/data", "~/data", "C:\\data", "D:/data", "file:///data/x", "\\\\server\\share"]
)
def test_paths_of_one_machine_draw_a_warning(tmp_path, path):
    assert warnings_of(tmp_path, output_dir=f"'{path}'") == {"output_dir": "is a path of this machine only"}


@pytest.mark.parametrize("path", ["/tmp/x", "/var/tmp/x", "/dev/shm/x", "/tmp", "file:///tmp/x"])
def test_temporary_folders_draw_a_warning(tmp_path, path):
    assert warnings_of(tmp_path, output_dir=f"'{path}'") == {
        "output_dir": "is in a temporary folder, which may be emptied"
    }


def test_options_parameters_commands_and_data_are_looked_at(tmp_path):
    found = warnings_of(
        tmp_path,
        parameters="{fit.learning_rate: [1], fit.schedule: [/home/me/schedule]}",
        stages="[{type: 'mine:fit'}, {name: s, type: command, command: 'python /home/me/t.py --out=/tmp/out',"
        " options: {where: /mnt/disk/x, deep: {list: [/srv/a/b]}}}]",
        datasets=f"{{d: {{source: /data/x/y.csv, digest: '{SHA256}'}}}}",
    )
    assert set(found) == {
        "parameters['fit.schedule'][0]",
        "stages[1].command",
        "stages[1].options.where",
        "stages[1].options.deep.list[0]",
        "datasets.d.source",
    }


def test_data_that_nothing_pins_draws_a_warning(tmp_path):
    assert warnings_of(tmp_path, datasets="{table: data/table.csv}") == {
        "datasets.table": "is not pinned: other content would go unnoticed between submissions"
    }


@pytest.mark.parametrize("text", ["/", "a/b", "and/or", "1/2", "https://example.org/x", "s3://bucket/x", "/x", "C"])
def test_other_texts_draw_no_warning(tmp_path, text):
    assert warnings_of(tmp_path, parameters=f"{{learning_rate: 1, schedule: '{text}'}}") == {}


def test_warnings_name_their_line(tmp_path):
    (warning,) = load_yaml(tmp_path, experiment_yaml(output_dir="/home/me/x")).warnings
    assert warning.line == 4


def test_a_folder_that_only_begins_like_a_temporary_one_is_none():
    assert not is_temporary("/tmpfiles/x")
    assert not is_temporary("tmp/x")
