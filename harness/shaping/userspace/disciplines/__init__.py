"""Queue disciplines, pure: which waiting packets are dropped, which are marked, and which is sent next."""
