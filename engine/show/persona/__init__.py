"""One persona, seen through every result: her scores, her place, her route, her merge and her replies.

Reads run folders and tables handed in; opens no database, loads no model and writes nothing.
"""
