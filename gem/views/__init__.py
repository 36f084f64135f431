"""Views of an explanation: an HTML page, a PDF, and the tables that both share."""
