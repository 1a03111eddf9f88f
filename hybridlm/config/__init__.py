"""What a run is: frozen dataclasses, checked as a whole before any device is touched, JSON in and out.

This room imports neither jax nor flax, so `hybridlm --help` and a refused config answer at once.
"""
