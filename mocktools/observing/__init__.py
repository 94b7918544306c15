"""What those who operate a server or a run see of it: figures for Prometheus (`measured`), lines of JSON (`logs`)."""
