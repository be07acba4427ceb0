"""Charts and tables of comparisons, made from records: one module a question. Reads nothing, tests nothing.

No colour is fixed in them (see engine/charts/looks.py), and what can be clicked or brushed is a named
selection that hands back the names of variants or personas.
"""

from engine.charts.cost import COSTS, Cost, cost_chart, front, tradeoff_table
from engine.charts.heatmap import HEATMAP_PERSONAS, heatmap, ordered_personas
from engine.charts.intervals import interval_chart
from engine.charts.leaderboard import best, is_bound, leaderboard
from engine.charts.looks import BRUSHED, CATASTROPHE, CHOSEN, PALETTE, Chart, quick, scale
from engine.charts.personas import (
    catastrophes,
    distribution_chart,
    persona_chart,
    persona_table,
    ranked,
    scatter_chart,
    selected_personas,
    table_of,
)
from engine.charts.power import power_chart

__all__ = [
    "BRUSHED",
    "CATASTROPHE",
    "CHOSEN",
    "COSTS",
    "HEATMAP_PERSONAS",
    "PALETTE",
    "Chart",
    "Cost",
    "best",
    "catastrophes",
    "cost_chart",
    "distribution_chart",
    "front",
    "heatmap",
    "interval_chart",
    "is_bound",
    "leaderboard",
    "ordered_personas",
    "persona_chart",
    "persona_table",
    "power_chart",
    "quick",
    "ranked",
    "scale",
    "scatter_chart",
    "selected_personas",
    "table_of",
    "tradeoff_table",
]
