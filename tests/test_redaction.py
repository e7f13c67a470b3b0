"""What is taken for a secret, what is not, and that lines stay lines."""

import base64
import random
import string

import pytest

from crucible.redaction import REMOVED, Redactor, is_secret_name, known_secrets

# Made up, and put together here so that no scanner of repositories takes them for real ones.
GITHUB = "ghp_" + "Ab3dEf6hIj9kLm2nOp5q" + "RsTuVwXyZ0123456"
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
JWT = "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0" + ".dozjgNryP4J3jVmNHl0w5N"
FORMS = [
    GITHUB,
    AWS,
    JWT,
    "sk-" + "proj-Abc123Def456Ghi789Jkl",
    "hf_" + "AbCdEfGhIjKlMnOpQrSt",
    "xoxb-" + "123456789-abcdefghij",
]


SECRET_NAMES = """
    OPENAI_API_KEY api-key apiKey dbPassword PGPASSWORD WANDB_API_KEY AWS_SECRET_ACCESS_KEY HF_TOKEN authToken client_secret
    private_key passphrase GITHUB_PAT SENTRY_AUTH_TOKEN credentials
"""
OTHER_NAMES = """
    tokenizer max_tokens pad_token eos_token_id token_ids num_tokens key keys monkey author authors PATH path patience
    signal design sort_key OMP_NUM_THREADS hash_seed lr passes compass
"""


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_names_of_secrets_are_known_in_every_way_of_writing(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", OTHER_NAMES.split())
def test_names_that_only_sound_like_it_are_left_alone(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize("secret", FORMS)
@pytest.mark.parametrize("around", ["{}", "x = '{}'", "say {} twice", "a,{},b", "+    call({})"])
def test_keys_of_known_forms_are_found_wherever_they_stand(secret, around):
    redactor = Redactor()
    cleaned = redactor.text(around.format(secret))
    assert secret not in cleaned
    assert REMOVED in cleaned
    assert redactor.removed >= 1


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("password: hunter2", "hunter2"),
        ("DB_PASSWORD=correcthorse", "correcthorse"),
        ("export API_KEY=abcd", "abcd"),
        ('{"password": "p w 1"}', "p w 1"),
        ("os.environ['SERVICE_TOKEN'] = 'lowercase'", "lowercase"),
        ("os.environ.setdefault('SERVICE_TOKEN', 'lowercase')", "lowercase"),
        ("run: OPENAI_API_KEY=abcdef python x.py", "abcdef"),
        ("curl --password opensesame http://x", "opensesame"),
        ("curl -H 'Authorization: Bearer abcdefgh12345678'", "abcdefgh12345678"),
        ("https://user:opensesame@example.org/x.git", "opensesame"),
        ("https://opensesame@example.org/x.git", "opensesame"),
        ("postgresql://me:opensesame@db/x", "opensesame"),
        ("https://example.org/x?token=opensesame&y=1", "opensesame"),
        ("machine example.org login me password opensesame", "opensesame"),
        ("curl -u admin:opensesame https://x", "opensesame"),
        ("curl --user=admin:opensesame https://x", "opensesame"),
        ('+SECRET_KEY = (\n+    "opensesame"\n+)', "opensesame"),
        ("password = \\\n    'opensesame'", "opensesame"),
    ],
)
def test_a_value_behind_a_name_or_in_an_address_is_removed(text, secret):
    assert secret not in Redactor().text(text)


@pytest.mark.parametrize(
    "text",
    [
        "token = tokenizer.next()",
        "password: str | None = None",
        "auth = make_auth(client)",
        "def f(password: str, token: Token) -> None:",
        "self.token = token",
        "api_key = os.environ['NAME_OF_IT']",
        "learning_rate = 0.003  # see DigitsLoraRank16WithSeed3Run",
        "pad_token = '[PAD]'",
        "DIGEST = '" + "0123456789abcdef" * 4 + "'",
        "index bd117f8c54daa2c567906e0d5b3744c5548afa3c",
        "https://example.org/a/b?page=2",
        "/home/someone/projects/2026/experiments/digits_lora/train_and_eval.py",
        "sort -u a:b and docker run -u 1000:1000 image",
        "tokenizer = (\n    'a text of many words'\n)",
    ],
)
def test_programs_digests_and_paths_are_left_as_they_are(text):
    assert Redactor().text(text, is_python=True) == text


def test_random_keys_are_found_by_their_looks():
    rng = random.Random(5)
    alphabet = string.ascii_letters + string.digits
    keys = ["".join(rng.choices(alphabet, k=40)) for _ in range(500)]
    left = [key for key in keys if key in Redactor().text(f"x({key})")]
    assert len(left) <= 5


def test_encoded_pictures_are_data_and_stay():
    data = base64.b64encode(random.Random(1).randbytes(3000)).decode()
    assert Redactor().text(f'"image/png": "{data}"') == f'"image/png": "{data}"'


def test_a_private_key_goes_line_by_line_and_keeps_the_signs_of_a_patch():
    text = "+a\n+-----BEGIN RSA PRIVATE KEY-----\n+MIIEow\n+abc\n+-----END RSA PRIVATE KEY-----\n+b\n"
    cleaned = Redactor().text(text)
    assert "MIIEow" not in cleaned
    assert [line[:1] for line in cleaned.splitlines()] == ["+"] * 6
    assert cleaned.splitlines()[0] == "+a"
    assert cleaned.splitlines()[-1] == "+b"


def test_what_a_secret_variable_holds_is_found_in_any_text():
    known = known_secrets({"MY_TOKEN": "plainlittleword", "HOME": "/home/x", "SHORT_TOKEN": "abc"})
    assert known == {"plainlittleword"}
    assert Redactor(known).text("--note=plainlittleword!") == f"--note={REMOVED}!"


def test_words_of_a_command_line_lose_the_value_after_a_secret_option():
    words = ["run", "x.py", "--api-key", "abc", "--set", "lr=1", "--password=abc", "TOKEN=abc", "--verbose"]
    redactor = Redactor()
    assert redactor.words(words) == [
        "run", "x.py", "--api-key", REMOVED, "--set", "lr=1", f"--password={REMOVED}", f"TOKEN={REMOVED}", "--verbose"
    ]  # fmt: skip
    assert redactor.removed == 3


def test_cleaning_is_done_once_and_for_all():
    redactor = Redactor()
    once = redactor.text("api_key = 'abcdefgh'\nhttps://a:bcdefg@h/\n" + "\n".join(FORMS))
    again = Redactor()
    assert again.text(once) == once


def test_a_large_text_takes_no_time():
    import time

    text = "".join(f"+    value_{n} = compute(token_{n}, other={n}) or fallback['key_{n}']\n" for n in range(30_000))
    start = time.perf_counter()
    Redactor().text(text, is_python=True)
    assert time.perf_counter() - start < 5
    for text in (
        "a" * 300_000,
        "a-" * 150_000,
        "=" * 300_000,
        "password" * 40_000,
        "x" * 81 + " " * 300_000,
        "login " * 50_000,
        "a=\n" * 80_000,
    ):
        Redactor().text(text)
    assert time.perf_counter() - start < 10
