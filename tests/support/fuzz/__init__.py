"""Fuzzing of all that reads what a victim, or a runtime, chose itself.

In: bytes, from libFuzzer (`python -m fuzz TARGET`, see __main__) or from hypothesis (test_fuzz.py).
Out: an AssertionError where a property does not hold.
Rules: a target takes any bytes, and what it holds to is more than not to raise; seeds are made by code (seeds.py), none
is a file; both ways share the targets' properties (properties.py).
"""
