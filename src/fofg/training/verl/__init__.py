"""What the training programs of verl 0.9.1 get from this project: settings, rows, rewards, groups; and what is made of theirs."""
