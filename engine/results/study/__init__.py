"""Where a study stands in its decision tree, its picture, and the autopilot that walks it."""
