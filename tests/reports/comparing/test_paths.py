"""Which file is which, from what was written on the command line."""

import pytest

from hybridlm.config.errors import ConfigError
from hybridlm.reports.comparing.paths import choose, names, pairs, place
from hybridlm.reports.token_file import Header, Reading


def test_a_directory_without_a_token_file(tmp_path):
    with pytest.raises(ConfigError, match="holds no tokens.parquet; `hybridlm evaluate` writes one"):
        place(str(tmp_path))


def test_names_are_as_short_as_they_can_be(tmp_path):
    for name in ("x/a/tokens.parquet", "y/a/tokens.parquet", "y/b.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    written = [str(tmp_path / name) for name in ("x/a", "y/b.parquet")]
    assert names([place(text) for text in written]) == ["a", "b"]
    assert names([place(str(tmp_path / name)) for name in ("x/a", "y/a")]) == ["x/a", "y/a"]
    assert names([place(f"{tmp_path}/x/a@ar"), place(f"{tmp_path}/x/a@masked")]) == ["a@ar", "a@masked"]


def test_pairs_are_read_and_buckets_have_colons():
    assert pairs("a:b,gs://x/c:gs://x/d", "--seeds") == (("a", "b"), ("gs://x/c", "gs://x/d"))
    assert pairs("", "--seeds") == ()
    with pytest.raises(ConfigError, match="--seeds=a must name pairs of token files as A:B"):
        pairs("a", "--seeds")


def header(**kinds):
    return Header(readings={n: Reading(kind=k) for n, k in kinds.items()}, tokenizer="t", checkpoint="c", code="x")


def test_the_first_reading_that_all_files_have_is_taken(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.parquet").touch()
    a, b, c = (place(f"{tmp_path}/{name}.parquet") for name in "abc")
    assert choose({a: header(masked="share", ar="exact"), b: header(ar="exact")}) == {a: "ar", b: "ar"}
    asked = place(f"{tmp_path}/c.parquet@masked")
    found = choose({a: header(ar="exact"), b: header(ar="exact"), asked: header(ar="exact", masked="share")})
    assert found == {a: "ar", b: "ar", asked: "masked"}
    with pytest.raises(ConfigError) as refused:
        choose({a: header(ar="exact"), c: header(ar="pseudo")})
    assert str(refused.value).startswith("the files have no reading of one name and kind in common: ")
    assert str(refused.value).endswith(
        f"in common: ar is exact in {a.path} and pseudo in {c.path}. No kind is in all files, so they cannot be "
        "compared; score one text with a reading of one kind."
    )


def test_a_run_and_a_published_model_are_told_how_to_be_compared(tmp_path):
    (tmp_path / "mine.parquet").touch(), (tmp_path / "smol.parquet").touch()
    mine, smol = place(f"{tmp_path}/mine.parquet"), place(f"{tmp_path}/smol.parquet")
    with pytest.raises(ConfigError) as refused:
        choose({mine: header(masked="share", ar="exact", unigram="exact"), smol: header(published="exact")})
    assert f"{mine.path} has masked (share) and 2 more; {smol.path} has published (exact). Say" in str(refused.value)
    assert str(refused.value).endswith(f"as PATH@READING, such as {mine.text}@ar {smol.text}@published.")
