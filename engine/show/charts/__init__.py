"""Charts and tables of comparisons, made from records: one module a question. Reads nothing, tests nothing.

No colour is fixed in them (see engine/show/charts/looks.py), and what can be clicked or brushed is a named
selection that hands back the names of variants or personas.
"""

from engine.show.charts.cost import COSTS, Cost, cost_chart, front, tradeoff_table
from engine.show.charts.heatmap import HEATMAP_PERSONAS, heatmap, ordered_personas
from engine.show.charts.intervals import interval_chart
from engine.show.charts.leaderboard import is_bound, leaderboard
from engine.show.charts.looks import BRUSHED, CATASTROPHE, CHOSEN, PALETTE, Chart, quick, scale
from engine.show.charts.personas import (
    catastrophes,
    distribution_chart,
    persona_chart,
    ranked,
    scatter_chart,
    selected_personas,
    strip_chart,
    table_of,
)
from engine.show.charts.power import power_chart

__all__ = [
    "BRUSHED",
    "CATASTROPHE",
    "CHOSEN",
    "COSTS",
    "HEATMAP_PERSONAS",
    "PALETTE",
    "Chart",
    "Cost",
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
    "power_chart",
    "quick",
    "ranked",
    "scale",
    "scatter_chart",
    "selected_personas",
    "strip_chart",
    "table_of",
    "tradeoff_table",
]
