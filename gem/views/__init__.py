"""How an explanation is shown: HTML, PDF, and the tables both share."""
