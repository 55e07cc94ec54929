"""`python -m gossipnet` is the command `gossipnet`."""

from gossipnet.cli import main

if __name__ == "__main__":
    main()
