"""Calibrations from measurements: readings as stacked passes, fits, examinations."""
