"""A module as some packages are: importing it leaves a thread running."""

import threading

threading.Thread(target=threading.Event().wait, daemon=True).start()
