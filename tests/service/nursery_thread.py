"""A module that starts a thread when it is loaded: nothing for a nursery."""

import threading

threading.Thread(target=threading.Event().wait, daemon=True).start()
