"""API calls without a task, a coroutine or a parser of their own, where nothing about them is new."""
