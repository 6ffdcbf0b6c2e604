"""`python -m nuxt_queue.cli`."""

import sys

from nuxt_queue.cli.entry import main

sys.exit(main())
