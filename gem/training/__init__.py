"""Training: Lightning modules and data modules, one file per task, driven by YAML in ``configs/``."""
