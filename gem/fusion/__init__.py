"""How encoder tokens reach the language model: projectors, token merge, prefix key/values."""
