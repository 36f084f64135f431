"""Which parts of a recording can be used: quality of each lead, gaps, pacing spikes."""
