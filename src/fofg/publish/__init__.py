"""Cards of models and datasets in the hub's format, and uploads to it."""
