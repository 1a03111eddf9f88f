"""The families every score file carries, in its order; one module each."""

from hybridlm.categories.families import (
    bracket,
    character_type,
    digits,
    domain,
    frequency_mass,
    frequency_rank,
    keyword,
    punctuation,
    whitespace,
    word_band,
    word_place,
)

FAMILIES = (
    frequency_rank.FAMILY,
    frequency_mass.FAMILY,
    character_type.FAMILY,
    digits.FAMILY,
    punctuation.FAMILY,
    bracket.FAMILY,
    whitespace.FAMILY,
    word_place.FAMILY,
    keyword.FAMILY,
    word_band.FAMILY,
    domain.FAMILY,
)
