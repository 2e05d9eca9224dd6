"""What a run shows: frames and plots, the notebook's displays, the site, JUnit and the catalogue's coverage."""
