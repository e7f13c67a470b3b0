import pytest

from crucible.errors import DefinitionError
from crucible.registry_address import parse_registry_address, without_login
from crucible.settings import load_settings


@pytest.mark.parametrize(
    ("text", "url", "login"),
    [
        ("http://registry:8081", "http://registry:8081", None),
        ("https://registry", "https://registry", None),
        ("http://registry:8081/", "http://registry:8081", None),
        ("https://host/apis/ccompat/v7/", "https://host/apis/ccompat/v7", None),
        ("http://[::1]:8081", "http://[::1]:8081", None),
        ("https://user:word@host:1", "https://host:1", ("user", "word")),
        ("https://user:p%40ss%2Fw%3Ard@host", "https://host", ("user", "p@ss/w:rd")),
        ("https://user@host", "https://host", ("user", "")),
    ],
)
def test_an_address_is_taken_apart(text, url, login):
    found = parse_registry_address(text)
    assert (found.url, found.login) == (url, login)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("registry:8081", "no address of a schema registry"),
        ("ftp://registry", "no address of a schema registry"),
        ("/etc/registry", "no address of a schema registry"),
        ("http://", "names no host"),
        ("http://:8081", "names no host"),
        ("http://registry:0", "a port that is none"),
        ("http://registry:99999", "is no address"),
        ("http://registry:port", "is no address"),
        ("http://[::1", "is no address"),
        ("http://registry?x=1", r"behind \? or #"),
        ("http://registry#x", r"behind \? or #"),
        ("http://regi stry", "characters that no address has"),
        ("http://registry\n", "characters that no address has"),
        ("http://régistry", "characters that no address has"),
    ],
)
def test_what_is_no_address_is_refused(text, why):
    with pytest.raises(ValueError, match=why):
        parse_registry_address(text)


@pytest.mark.parametrize(
    "text", ["http://anna:s3cret@", "http://anna:s3#cret@host", "http://anna:s3/cret@host", "ftp://anna:s3cret@host"]
)
def test_nothing_of_a_login_is_said_of_an_address_that_is_refused(tmp_path, text):
    with pytest.raises(DefinitionError) as caught:
        load_settings(start=tmp_path, environ={"CRUCIBLE_REGISTRY": text})
    said = str(caught.value)
    assert "registry" in said
    assert not any(part in said for part in ("anna", "s3", "cret"))


def test_nothing_of_a_login_is_said_where_the_file_has_a_list(tmp_path):
    (tmp_path / "crucible.toml").write_text('registry = ["http://anna:s3cret@host"]\n')
    with pytest.raises(DefinitionError, match="wrong type") as caught:
        load_settings(start=tmp_path, environ={})
    assert "s3cret" not in str(caught.value)


def test_the_registry_goes_from_the_settings_to_the_place_and_is_shown_by_neither(tmp_path):
    address = "https://anna:s3cret@host:8081"
    settings = load_settings(start=tmp_path, environ={"CRUCIBLE_REGISTRY": address})
    assert settings.registry == settings.place.registry == address
    assert "s3cret" not in f"{settings!r} {settings.place!r} {parse_registry_address(address)!r}"
    assert load_settings(start=tmp_path, environ={}).place.registry is None


def test_a_text_is_shown_without_its_login():
    assert without_login("https://user:word@host:1/x") == "https://…@host:1/x"
    assert without_login("user:word@host") == "…@host"
    assert without_login("https://user:p@ss@host") == "https://…@host"
    assert without_login("https://host") == "https://host"
