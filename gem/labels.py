"""Labels of tokens."""

IGNORE = -100  # a token that no loss counts, as in torch and transformers
