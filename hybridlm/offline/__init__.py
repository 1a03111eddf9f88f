"""Models that are already there, one's own or published: scored, continued, and asked by a harness."""
