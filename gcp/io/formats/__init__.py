"""The file formats, one file each, which lists them as `FORMATS`."""
