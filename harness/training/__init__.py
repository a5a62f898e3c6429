"""What ranks run: training, strategies, tasks, collectives. The only room that imports torch, and only when it runs."""
