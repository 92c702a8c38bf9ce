"""Measurements: ratios taken in one run, against a rival or a floor."""
