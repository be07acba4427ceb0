"""What strategies' steps share: training, lessons, scoring, merging. They speak through their context only."""
