"""The fault proxy, its kinds, plans, and the nemesis that carries them out."""
