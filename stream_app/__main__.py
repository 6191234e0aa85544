"""`python -m stream_app`, the same as `moodstream`."""

from stream_app.cli import main

main()
