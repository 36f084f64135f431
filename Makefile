# One command for lint, types and tests: make check
.PHONY: check lint types test docs
check: lint types test
lint:
	ruff check . && ruff format --check .
types:
	mypy
test:
	python -m pytest -n 2
docs:
	sphinx-build -W -q docs build/docs
