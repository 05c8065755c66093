"""Python imports this at its start where this folder is on PYTHONPATH: child processes of tests are guarded, too."""

import kill_at
import network_guard

network_guard.install()
kill_at.install()
