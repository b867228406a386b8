"""``fofg plan``: what a target would do and take, told before anything runs.

``rules``, ``targets``: which stages a target needs; ``work``: what each of them does, in numbers; ``estimate``: hours and disk;
``needs``, ``jobs``: what is asked of a cluster; ``table``: how it is told. Nothing here reads a model's weights or any data, but
the numbers of rows of the user's own files.
"""
