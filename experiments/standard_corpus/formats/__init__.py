"""How each family of files becomes text: one function per format, from the files of a source to its texts."""
