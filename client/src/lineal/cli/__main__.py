"""`python -m lineal.cli`."""

import sys

from lineal.cli.command import main

sys.exit(main())
