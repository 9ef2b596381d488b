"""`lineal experiments`."""

import argparse

from lineal.cli.printing import AddCommand, add_limit, counted, limited, page_of, print_rows
from lineal.client import Client


def add_commands(command: AddCommand) -> None:
    add_limit(command("experiments", experiments, "List experiments."))


def experiments(client: Client, arguments: argparse.Namespace) -> None:
    found = limited(client.experiments(page_size=page_of(arguments.limit)), arguments.limit)
    print_rows(arguments, counted(arguments, found, "experiments"), ("id", "name", "lifecycle"))
