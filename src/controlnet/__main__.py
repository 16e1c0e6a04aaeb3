"""`python -m controlnet` is `controlnet`."""

import sys

from controlnet.cli.app import main

sys.exit(main())
