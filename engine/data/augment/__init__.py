"""More training dialogues from those that are there, by ways that keep what a dialogue asks and does.

Which ways there are, and what they must keep, is the domain's. Sees training dialogues only: whoever calls it
hands them over, so val and test cannot get in. Replies stay word for word, but for what a way itself changes
in both. What models rewrite comes in as a table of alternatives (engine/lm/rewriting.py); the same guards
judge it.
"""
