"""`python -m llm_gateway_operator`."""

import sys

from llm_gateway_operator.cli import main

if __name__ == "__main__":
    sys.exit(main())
