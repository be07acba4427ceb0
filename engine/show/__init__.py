"""What people are shown: charts, personas, the report, the state of a workspace."""
