"""What every room stands on: records, errors, paths, locks, the machine, wording. Knows no other room."""
