"""``python -m instruct_mner``."""

from instruct_mner.cli import program

if __name__ == "__main__":
    program()
