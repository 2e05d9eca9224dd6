"""Fail each exchange of a flow in each way, and judge what became of it."""
