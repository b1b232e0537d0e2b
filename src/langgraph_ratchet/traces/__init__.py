"""Recording: the recorder that a run speaks to, and the store that keeps what it said."""
