"""Measuring the machine at hand and writing what was found as a device profile.

:mod:`~advisor.bench.timing` repeats a piece of work under an injected clock,
:mod:`~advisor.bench.kernels` and :mod:`~advisor.bench.torch_device` are the work,
:mod:`~advisor.bench.busy` says who else uses the machine, :mod:`~advisor.bench.machine` reads
what the operating system reports, :mod:`~advisor.bench.profile` makes the profile and
:mod:`~advisor.bench.run` puts them together.
"""
