"""Runs of an experiment on the machines of a Ray cluster; docs/campaigns.md. Nothing else imports ray."""
