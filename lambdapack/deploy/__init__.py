"""The deploy stage: the function's zip (``bundle``) and the clouds that take it (``aws``)."""
