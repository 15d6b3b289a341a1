"""Files of users and of packages: text, Word, PDF, rows, sheets."""
