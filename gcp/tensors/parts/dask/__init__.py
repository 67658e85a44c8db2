"""The one place that knows an engine (Dask): who evaluates which part, and how the sums come together."""
