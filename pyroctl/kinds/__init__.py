"""Kinds of services: how each is started, and how it tells that it is ready."""
