from crucible.definition.code_place import local_code


def test_code_is_where_it_was_submitted(tmp_path):
    file = tmp_path / "there" / "mine.py"
    file.parent.mkdir()
    file.touch()
    assert local_code(str(file), tmp_path / "elsewhere") == file


def test_code_of_another_host_is_found_below_the_project_by_the_longest_end_of_its_path(tmp_path):
    for name in ("mine.py", "deep/mine.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert local_code("/nowhere/project/deep/mine.py", tmp_path) == tmp_path / "deep" / "mine.py"
    assert local_code("/nowhere/project/other/mine.py", tmp_path) == tmp_path / "mine.py"
    assert local_code("/nowhere/project/yours.py", tmp_path) is None
