"""Objectives: functions of the factors that solvers minimise. Losses and tensors meet here only.

`Problem.of` (`problem`) checks the arguments of a fit and resolves bounds (`bounds`) and free factors
(`parametrisation`). `objective_of` (`build`) looks through the data once (`survey`), sets the scale of the loss and
makes an `EntrywiseObjective` (`entrywise`): its `value_and_grad` hands the loss's formula and the factors to the
tensor, which returns the sum and its gradient in each factor, and adds the penalties (`penalties.total`). Main
effects (`terms`) are further columns of the factors. `FreeFactors` (`free`) is what solvers get: it expands their
variables to all factors, asks the objective (a protocol, `base`), and gathers the gradients back. Methods that need
more name it (`features`) and get a view of the objective (`views`): rows, least squares, samples or curvature.

A `Model` (`model`) is what remains of a fit, with a description of its problem (`description`). `evaluation`,
`known_cells` and `refit_rows` bring a model and new data together again.
"""
