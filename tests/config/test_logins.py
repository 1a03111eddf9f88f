"""A password in a URL is refused by the name of its host, and what only looks like one is not."""

import pytest

from hybridlm.config import logins
from hybridlm.config.errors import ConfigError


def test_a_login_is_named_by_its_host_alone():
    with pytest.raises(ConfigError) as refused:
        logins.refuse("s3://me:hunter2@a.example/x s3://me:hunter2@a.example/y", "a source", "it is kept")
    assert str(refused.value) == (
        "a source holds a login (s3://***@a.example): it is kept, so a password in it would be too. Leave it out, and "
        "let the environment or the store's own login file give it."
    )


@pytest.mark.parametrize("text", ["gs://bucket/a@b:c", "abfss://box@account.example/rows", "tfds:name/config:1.0@data"])
def test_an_at_sign_is_no_login(text):
    logins.refuse(text, "a source", "it is kept")
