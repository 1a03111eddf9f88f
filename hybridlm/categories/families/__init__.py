"""The families of the vocabulary, and the domain that the data names; one module each."""

from hybridlm.categories.families import (
    bracket,
    byte_length,
    character_type,
    digits,
    domain,
    frequency_mass,
    frequency_rank,
    keyword,
    punctuation,
    script,
    whitespace,
    word_place,
)

FAMILIES = (
    frequency_rank.FAMILY,
    frequency_mass.FAMILY,
    character_type.FAMILY,
    script.FAMILY,
    byte_length.FAMILY,
    digits.FAMILY,
    punctuation.FAMILY,
    bracket.FAMILY,
    whitespace.FAMILY,
    word_place.FAMILY,
    keyword.FAMILY,
    domain.FAMILY,
)
