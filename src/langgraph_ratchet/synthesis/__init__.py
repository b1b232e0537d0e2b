"""Problems × reasoning: demonstrations of the reasoning graph, and the copy practice that goes with them."""
