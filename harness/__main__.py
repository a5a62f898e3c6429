"""``python -m harness`` is the ``harness`` command."""

from harness.entry import main

if __name__ == "__main__":
    main()
