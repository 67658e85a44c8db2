"""Terms of the model beside the components."""
