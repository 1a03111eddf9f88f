"""Corruption and its reversal: schedules, times, absorbing noise, the exact step from noisy to cleaner.

Everything is a pure function of arrays and a key. Time t runs from 0 (clean) to 1 (all noise) and may differ per token.
"""
