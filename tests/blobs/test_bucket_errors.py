"""Whatever S3 and the libraries on the way say is one error of ours that says what to do."""

import sys

import aiohttp
import botocore.exceptions
import pytest
from s3fs.errors import ERROR_CODE_TO_EXCEPTION, translate_boto_error

from crucible.blobs import open_blobs_at
from crucible.blobs.bucket_errors import NotThereError, RefusedError, explained, without_login
from crucible.errors import BlobError, DependencyError, StorageError

ABSENT = "0" * 64


@pytest.fixture
def blobs(bucket, tmp_path):
    def make(name=bucket.name):
        return open_blobs_at(f"s3://{name}/x", tmp_path)

    return make


def calls(blobs, tmp_path):
    """Every kind of call."""
    path = tmp_path / "some file"
    path.write_bytes(b"hello")
    return {
        "put": lambda: blobs.put_bytes(b"hello"),
        "put file": lambda: blobs.put_file(path),
        "get": lambda: blobs.get_bytes(ABSENT),
        "path": lambda: blobs.get_path(ABSENT),
        "exists": lambda: blobs.exists(ABSENT),
        "missing": lambda: blobs.missing([ABSENT]),
        "list": lambda: list(blobs),
        "leftovers": blobs.leftovers,
        "notes": lambda: blobs.notes("logs"),
        "probe": blobs.probe,
        "remove": lambda: blobs.remove(ABSENT),
        "verify": lambda: blobs.verify(ABSENT),
    }


def assert_all_say(blobs, tmp_path, *words):
    for name, call in calls(blobs, tmp_path).items():
        with pytest.raises(StorageError) as error:
            call()
        assert not isinstance(error.value, BlobError), name
        for word in words:
            assert word in str(error.value), (name, str(error.value))


def test_a_bucket_that_is_not_there_is_no_missing_blob(blobs, tmp_path):
    assert_all_say(blobs("nowhere"), tmp_path, "there is no bucket nowhere", "aws s3 mb", "CRUCIBLE_BLOBS")


def test_a_wrong_secret_is_told_and_not_shown(blobs, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "opensesame99")
    for call in calls(blobs(), tmp_path).values():
        with pytest.raises(StorageError, match=r"keys were refused|access denied") as error:
            call()
        assert "opensesame99" not in str(error.value)


def test_a_wrong_key_is_told(blobs, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "wrong")
    assert_all_say(blobs(), tmp_path, "keys were refused", "AWS_PROFILE")


def test_no_keys_at_all_are_told(blobs, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(StorageError, match="there are no keys"):
        blobs().put_bytes(b"hello")


def test_a_profile_that_is_not_there_is_told(blobs, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "elsewhere")
    with pytest.raises(StorageError, match="elsewhere"):
        blobs().put_bytes(b"hello")


def test_an_endpoint_that_is_none_is_told(blobs, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "no address")
    with pytest.raises(StorageError, match="settings for it are wrong"):
        blobs().put_bytes(b"hello")


def test_a_login_in_the_endpoint_is_not_shown():
    error = botocore.exceptions.EndpointConnectionError(endpoint_url="http://host:1")
    found = explained(error, location="s3://b", bucket="b", endpoint="http://me:opensesame@host:1/x")
    assert "opensesame" not in str(found)
    assert without_login("http://me:opensesame@host:1/x") == "http://host:1/x"


def answered(code):
    response = {"Error": {"Code": code, "Message": "what the server says"}}
    return translate_boto_error(botocore.exceptions.ClientError(response, "GetObject"))


@pytest.mark.parametrize("code", sorted(ERROR_CODE_TO_EXCEPTION))
def test_every_answer_that_s3fs_knows_is_an_error_of_ours(code):
    found = explained(answered(code), location="s3://b", bucket="b", endpoint=None)
    if code in {"404", "NoSuchKey", "NoSuchUpload"}:
        assert isinstance(found, NotThereError)
    else:
        assert code in str(found) or "no bucket" in str(found)
    if ERROR_CODE_TO_EXCEPTION[code] is PermissionError:
        assert not isinstance(found, RefusedError), "rights and keys have words of their own"


def test_an_answer_that_nobody_knows_says_what_the_server_says():
    found = explained(answered("Weird"), location="s3://b", bucket="b", endpoint=None)
    assert isinstance(found, RefusedError)
    assert "what the server says" in str(found)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (botocore.exceptions.NoCredentialsError(), "there are no keys"),
        (botocore.exceptions.PartialCredentialsError(provider="env", cred_var="x"), "there are no keys"),
        (botocore.exceptions.ProfileNotFound(profile="p"), "settings for it are wrong"),
        (botocore.exceptions.NoRegionError(), "settings for it are wrong"),
        (botocore.exceptions.SSLError(endpoint_url="https://x", error="self-signed"), "AWS_CA_BUNDLE"),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="http://x"), "no answer"),
        (botocore.exceptions.ConnectTimeoutError(endpoint_url="http://x"), "no answer"),
        (aiohttp.ClientPayloadError("cut"), "no answer"),
        (TimeoutError(), "no answer"),
    ],
)
def test_what_never_reached_a_server_is_told_as_that(error, words):
    found = explained(error, location="s3://b", bucket="b", endpoint="http://x")
    assert words in str(found)
    assert "s3://b" in str(found)


def test_without_s3fs_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(DependencyError, match=r"crucible-experiments\[s3\]"):
        open_blobs_at("s3://bucket", tmp_path)
