"""Page templates, macros, the style sheet and the script of the reports."""
