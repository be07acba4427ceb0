"""The layouts of files that are known: one reader a file, recognised by content (layout.py lists what each
is).
"""
