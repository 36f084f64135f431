"""Data sets and how they become batches: layouts, examples, conversations, augmentation."""
