"""What strategies' steps share: training, lessons, scoring, merging. They speak by their context only."""
