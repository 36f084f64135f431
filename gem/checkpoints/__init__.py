"""Readers of the published layouts: GEM, PULSE, ECG-CoCa and MEIT."""
