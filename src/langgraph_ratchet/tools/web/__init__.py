"""The web as a hostile place: where a fetch may go, how much it may bring, and how a page becomes text."""
