"""Token labels."""

IGNORE = -100  # tokens with this label do not enter the loss, as in torch and transformers
