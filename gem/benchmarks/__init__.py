"""The laboratory's benchmarks: what a model says, held against labels and measurements."""
