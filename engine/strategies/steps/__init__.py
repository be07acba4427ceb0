"""What strategies' steps share: training, lessons, scoring, merging. They speak through a RunContext only."""
