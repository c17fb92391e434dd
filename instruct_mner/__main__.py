"""``python -m instruct_mner``."""

from instruct_mner.cli import main

if __name__ == "__main__":
    main()
