"""SFT and GRPO behind verl 0.9.1: its settings, rows, reward and groups from fofg, and fofg's records from its metrics."""
