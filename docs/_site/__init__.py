"""What the build of the site adds to Sphinx: pictures with words, and pages made of what the package says of itself."""
