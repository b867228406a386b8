"""One module per figure: ``plot(*files)`` returns the figure drawn from the files of the rule ``plot_NAME``.

``plot`` raises UserError, naming the file, if one is missing, damaged or empty.
"""
