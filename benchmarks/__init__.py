"""PenPal measured: every figure in docs/benchmarks comes from here."""
