"""From a measured recording to words and back: facts with tags, texts composed from them, tags resolved to evidence."""

from __future__ import annotations

from .composer import compose
from .facts import DIAGNOSES, TAGS, Fact, Statement, facts, prompt, resolve

__all__ = ["DIAGNOSES", "TAGS", "Fact", "Statement", "compose", "facts", "prompt", "resolve"]
