"""Several predictions of one token as one: gates, mixtures and calibrations.

Each is a normalised distribution that never saw the target: no function here but the oracle's takes one.
"""
