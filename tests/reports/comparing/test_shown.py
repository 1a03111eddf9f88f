"""What intervals hold for at once, in words."""

import dataclasses

from hybridlm.reports.comparing import shown


def test_families_are_named_as_long_as_there_are_few(compared):
    found, row = compared[0], compared[0].rows[-1]

    def told(count):
        rows = [dataclasses.replace(row, family=f"family_{n}") for n in range(count)]
        return shown.tests(dataclasses.replace(found, rows=(found.rows[0], *rows)))

    assert told(1).startswith("2 gaps (all and family 0)")
    assert told(shown.NAMED - 1).startswith(
        f"{shown.NAMED} gaps (all, family 0, family 1, family 2, family 3 and family 4)"
    )
    assert told(shown.NAMED).startswith(f"{shown.NAMED + 1} gaps (all and {shown.NAMED} families)")
