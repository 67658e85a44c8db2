"""Kernels over lists of entries.

`radix` sorts subscripts, `ordering` groups and joins sorted ones, and `lookup` finds given cells among them. A
`Listing` (`listed_pass`) holds them with the columns of the entries; `listed_pass.loss_and_mttkrps` passes over it, a
run of entries at a time (`entry_runs`), and `power_sums` adds up what cells that are not listed contribute, in closed
form, from the factors alone. `row_steps.grouped` puts a listing into the order of one mode, and `row_steps.update`
takes a step for each row of that mode's factor, made of the sums and the small system of equations in `row_algebra`.
"""
