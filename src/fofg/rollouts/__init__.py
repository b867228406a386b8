"""Responses of a model to problems: engines, shards that can be resumed, one file of all."""
