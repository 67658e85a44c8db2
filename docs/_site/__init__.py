"""What the build of the site adds to Sphinx: pictures with words, pages made of what the package says."""
