"""`python -m app.cli`: the program, for launchers that start a module (`accelerate launch -m app.cli ...`)."""

from app.cli import main

main()
