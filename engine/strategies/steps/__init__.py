"""What a worker executes, one module a kind of experiment. Steps speak through their RunContext only."""
