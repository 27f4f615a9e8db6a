"""Figures for the page and for print, each drawn once and saved as SVG and PNG."""
