"""Action metrics and paired statistics. No model, no file and no database in it."""
