"""Queue disciplines, pure: which packets that wait for a rate are dropped, which are marked, which is sent next."""
