"""From peak files and a genome to a data set."""
