"""Stars: catalogues with errors, and mixtures of continuous densities."""
