"""Fitting the efficiency constants of a device family to measurements.

Needed only to refit ``hwprofiles/efficiency``; predictions never import it.
:mod:`~advisor.calibration.kernel_tables` reads published kernel microbenchmarks,
:mod:`~advisor.calibration.kernel_fits` fits the functions of :mod:`advisor.perf` to them and
:mod:`~advisor.calibration.write` writes the result.
"""
