"""Charts and tables of comparisons, made from records: one module a question. Reads nothing, tests nothing.

No colour is fixed in them (see engine/show/charts/looks.py), and what can be clicked or brushed is a named
selection that hands back the names of variants or personas.
"""
