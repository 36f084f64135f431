"""Instruction data from recordings: tasks, teachers, judging of their answers, shards."""
